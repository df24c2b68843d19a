# SPDX-License-Identifier: Apache-2.0
"""Random draws of trainers on Torch: the noise of actions, and which samples are learned from."""

from collections.abc import Callable

import numpy as np
import torch

from adapters.noise import correlated
from adapters.torch_networks import to_array
from motrix_gym import Mirror, Reflection


class Noise:
    """Standard normal noise for actions.

    Args:
        generator: Where it is drawn from.
        shape: Of the draws that are correlated, (n, act).
        correlation: Of each draw with the one before, from 0 to 1.
    """

    def __init__(
        self, generator: torch.Generator, shape: tuple[int, ...], correlation: float = 0.0
    ):
        self.generator, self.shape, self.correlation = generator, shape, correlation
        self._last: torch.Tensor | None = None  # None before the first draw

    def draw(self, shape: torch.Size) -> torch.Tensor:
        """Returns noise of this shape, correlated with the last draw if it is for all rows."""
        noise = torch.randn(shape, generator=self.generator, device=self.generator.device)
        if not self.correlation or shape != self.shape:
            return noise
        if self._last is not None:
            noise = correlated(noise, self._last, self.correlation)
        self._last = noise
        return noise

    def state(self) -> dict[str, np.ndarray]:
        """Returns what the next draw depends on beside the generator; zeros before the first."""
        if not self.correlation:
            return {}
        nothing = np.zeros(self.shape, np.float32)
        return {"noise": nothing if self._last is None else to_array(self._last)}

    def restore(self, state: dict[str, np.ndarray]) -> None:
        """Goes back to a `state()`, which may hold other arrays too."""
        last = state.get("noise") if self.correlation else None
        drawn = last is not None and last.any()
        self._last = torch.tensor(last, device=self.generator.device) if drawn else None


def shuffled(size: int, generator: torch.Generator, mirrored: bool) -> torch.Tensor:
    """Returns the order (size,) in which an epoch learns from its samples.

    With `mirrored`, the mirror image of sample i has the number size + i, and the order has either
    i or size + i, at equal chances.
    """
    device = generator.device
    order = torch.randperm(size, generator=generator, device=device)
    if mirrored:
        order += size * torch.randint(2, (size,), generator=generator, device=device)
    return order


def part_stream(generator: torch.Generator, seed: int | None, rank: int) -> None:
    """Gives a generator a stream of this rank's own; that of rank 0 goes on.

    On a CPU a seed has 32 bits only, all of which are seeds of trainings. So the whole state of the
    Mersenne twister is made from seed and rank, by NumPy's `SeedSequence`.
    """
    if not rank:
        return
    if generator.device.type != "cpu":
        generator.manual_seed((seed or 0) + (rank << 32))
        return
    state = torch.Generator().get_state().numpy()
    words = np.random.MT19937(np.random.SeedSequence([seed or 0, rank])).state["state"]["key"]
    # Torch's layout: 24 bytes (seed, position), then each word of the twister in 8 bytes.
    state[24 : 24 + 8 * len(words)].view(np.uint64)[:] = words
    generator.set_state(torch.from_numpy(state))


class TorchMirror:
    """A `Mirror` of tensors: reflections of observations (..., obs) and actions (..., act)."""

    def __init__(self, mirror: Mirror, device: torch.device):
        self.observation = self._reflector(mirror.observation, device)
        self.action = self._reflector(mirror.action, device)
        self._turns = torch.tensor(mirror.turns, device=device)

    def image(self, observations: torch.Tensor) -> torch.Tensor:
        """Returns the mirror images of observations (..., obs), as `Mirror.image`."""
        image = self.observation(observations)
        return image + torch.where(image > 0, -self._turns, self._turns)

    def _reflector(
        self, reflection: Reflection, device: torch.device
    ) -> Callable[[torch.Tensor], torch.Tensor]:
        source = torch.tensor(reflection.source, device=device)
        sign = torch.tensor(reflection.sign, device=device)
        return lambda x: x.index_select(-1, source) * sign
