# SPDX-License-Identifier: Apache-2.0
"""Contact sensors between named geoms, which are added to a model."""

from collections.abc import Mapping

import mujoco

from motrix_gym.view import unknown

_FORCE = 1 << int(mujoco.mjtConDataField.mjCONDATA_FORCE)
_NET_FORCE = 3  # the reduction: the sum over all contacts of the pair
_ONE_SLOT = 1


def add_contact_sensors(spec: mujoco.MjSpec, contacts: Mapping[str, tuple[str, str]]) -> None:
    """Add a sensor for each pair of geoms: the net force of the first on the second.

    A reading is (3,), in N, in the world's frame, and 0 without contact. MuJoCo finds contacts and
    their forces from the state before a physics step. So after a step of the environment, the
    reading is of the state before the last physics step.

    Args:
        spec: the model, before it is compiled.
        contacts: pairs of geoms, by the name of the sensor.

    Raises:
        ValueError: if there is no geom of a name; the message has the nearest name.
    """
    names = [geom.name for geom in spec.geoms if geom.name]
    for name, pair in contacts.items():
        for geom in pair:
            if geom not in names:
                raise ValueError(f"contact {name!r}: {unknown('geom', geom, names)}")
        spec.add_sensor(
            name=name,
            type=mujoco.mjtSensor.mjSENS_CONTACT,
            objtype=mujoco.mjtObj.mjOBJ_GEOM,
            objname=pair[0],
            reftype=mujoco.mjtObj.mjOBJ_GEOM,
            refname=pair[1],
            intprm=[_FORCE, _NET_FORCE, _ONE_SLOT],
        )
