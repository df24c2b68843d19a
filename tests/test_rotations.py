# SPDX-License-Identifier: Apache-2.0
"""Rotations against MuJoCo's own."""

import mujoco
import numpy as np
import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from motrix_gym import rotations
from motrix_gym.random import RandomStreams

numbers = st.floats(-1, 1, width=32)
angles = st.floats(-np.pi, np.pi)


@st.composite
def quaternions(draw):
    quat = np.array(draw(st.tuples(*4 * (numbers,))))
    assume(np.linalg.norm(quat) > 0.1)
    return quat / np.linalg.norm(quat)


vectors = st.tuples(*3 * (st.floats(-100, 100),)).map(np.array)


def mujoco_rotate(quat, vector):
    out = np.zeros(3)
    mujoco.mju_rotVecQuat(out, np.asarray(vector, float), quat)
    return out


@given(quaternions(), vectors)
def test_rotate_is_mujocos(quat, vector):
    assert rotations.rotate(quat, vector) == pytest.approx(mujoco_rotate(quat, vector), abs=1e-10)


@given(quaternions(), vectors)
def test_rotate_inverse_undoes_it(quat, vector):
    back = rotations.rotate_inverse(quat, rotations.rotate(quat, vector))
    assert back == pytest.approx(vector, abs=1e-9)


@given(quaternions())
def test_rotation_matrix_is_mujocos(quat):
    flat = np.zeros(9)
    mujoco.mju_quat2Mat(flat, quat)
    assert rotations.rotation_matrix(quat) == pytest.approx(flat.reshape(3, 3), abs=1e-12)


@given(quaternions())
def test_projected_gravity_is_the_worlds_down_in_the_bodys_frame(quat):
    expected = rotations.rotate_inverse(quat, np.array([0.0, 0.0, -1.0]))
    assert rotations.projected_gravity(quat) == pytest.approx(expected, abs=1e-12)


def test_projected_gravity_has_the_right_sign():
    half = np.sqrt(0.5)
    upright, upside_down = [1.0, 0, 0, 0], [0.0, 1, 0, 0]
    nose_down, on_the_right_side = [half, 0, half, 0], [half, half, 0, 0]
    got = rotations.projected_gravity(
        np.array([upright, upside_down, nose_down, on_the_right_side])
    )
    # x forward, y left, z up: a nose that points down sees gravity ahead.
    expected = [[0, 0, -1], [0, 0, 1], [1, 0, 0], [0, -1, 0]]
    assert got == pytest.approx(np.array(expected), abs=1e-12)


@given(vectors, vectors)
def test_cross_is_numpys(a, b):
    assert np.array_equal(rotations.cross(a, b), np.cross(a, b))


@given(angles)
def test_yaw_is_that_of_from_yaw(angle):
    quat = rotations.from_yaw(np.array([angle]))
    assert np.exp(1j * rotations.yaw(quat)) == pytest.approx(np.exp(1j * angle), abs=1e-12)
    turned = rotations.rotate(quat, np.array([[1.0, 0, 0]]))
    assert turned == pytest.approx(np.array([[np.cos(angle), np.sin(angle), 0]]), abs=1e-12)


@given(angles, st.floats(-1.2, 1.2), st.floats(-1.5, 1.5))
def test_yaw_does_not_see_pitch_and_roll(angle, pitch, roll):
    quat = rotations.from_yaw(np.array(angle))
    for axis, tilt in (([0, 1, 0], pitch), ([1, 0, 0], roll)):
        turn, out = np.zeros(4), np.zeros(4)
        mujoco.mju_axisAngle2Quat(turn, np.array(axis, float), tilt)
        mujoco.mju_mulQuat(out, quat, turn)
        quat = out
    assert np.exp(1j * rotations.yaw(quat)) == pytest.approx(np.exp(1j * angle), abs=1e-9)


@pytest.mark.parametrize("shape", [(), (5,), (2, 3)])
def test_any_leading_axes(shape):
    stream = np.random.default_rng(0)
    quat = stream.normal(size=(*shape, 4))
    quat /= np.linalg.norm(quat, axis=-1, keepdims=True)
    vector = stream.normal(size=(*shape, 3))
    for result, expected in (
        (rotations.rotate(quat, vector), (*shape, 3)),
        (rotations.rotate_inverse(quat, vector), (*shape, 3)),
        (rotations.rotation_matrix(quat), (*shape, 3, 3)),
        (rotations.projected_gravity(quat), (*shape, 3)),
        (rotations.yaw(quat), shape),
    ):
        assert result.shape == expected
    matrix = rotations.rotation_matrix(quat)
    assert np.einsum("...ij,...j->...i", matrix, vector) == pytest.approx(
        rotations.rotate(quat, vector), abs=1e-12
    )


def test_rows_do_not_depend_on_how_many_there_are():
    stream = np.random.default_rng(1)
    quat, vector = stream.normal(size=(33, 4)), stream.normal(size=(33, 3))
    for function, args in (
        (rotations.rotate, (quat, vector)),
        (rotations.rotate_inverse, (quat, vector)),
        (rotations.rotation_matrix, (quat,)),
        (rotations.projected_gravity, (quat,)),
        (rotations.yaw, (quat,)),
    ):
        whole = function(*args)
        for i in range(33):
            assert np.array_equal(function(*(a[i : i + 1] for a in args))[0], whole[i])


@given(quaternions(), quaternions(), vectors)
def test_a_product_rotates_by_its_second_factor_and_then_by_its_first(first, second, vector):
    expected = rotations.rotate(first, rotations.rotate(second, vector))
    got = rotations.rotate(rotations.product(first, second), vector)
    assert got == pytest.approx(expected, abs=1e-9)


@given(quaternions())
def test_rotation_vectors_are_mujocos(quat):
    expected = np.zeros(3)
    mujoco.mju_quat2Vel(expected, quat, 1.0)
    vector = rotations.to_rotation_vector(quat)
    if np.linalg.norm(expected) < np.pi - 1e-6:  # at half a turn both ways are as short
        assert vector == pytest.approx(expected, abs=1e-7)
    back = rotations.from_rotation_vector(vector)
    assert abs(np.dot(back, quat)) == pytest.approx(1.0, abs=1e-9)


def test_no_rotation_has_the_vector_0_and_back():
    assert rotations.from_rotation_vector(np.zeros(3)).tolist() == [1, 0, 0, 0]
    assert rotations.to_rotation_vector(np.array([-1.0, 0, 0, 0])).tolist() == [0, 0, 0]


@given(quaternions(), quaternions())
def test_a_difference_leads_from_one_rotation_to_the_other(target, quat):
    turn = rotations.from_rotation_vector(rotations.difference(target, quat))
    assert abs(np.dot(rotations.product(turn, quat), target)) == pytest.approx(1.0, abs=1e-9)


@given(quaternions())
def test_six_numbers_are_the_first_two_axes_and_the_same_for_both_signs(quat):
    six = rotations.six_numbers(quat)
    assert six[:3] == pytest.approx(rotations.rotate(quat, np.array([1.0, 0, 0])), abs=1e-12)
    assert six[3:] == pytest.approx(rotations.rotate(quat, np.array([0, 1.0, 0])), abs=1e-12)
    assert rotations.six_numbers(-quat) == pytest.approx(six, abs=1e-15)


def test_random_rotations_are_uniform():
    streams = RandomStreams(20000)
    streams.seed(range(20000))
    quat = rotations.random(streams.rows())
    assert np.linalg.norm(quat, axis=1) == pytest.approx(1.0)
    # Where they turn an axis to is uniform on the sphere: mean 0, mean square 1/3 along each axis.
    for axis in np.eye(3):
        turned = rotations.rotate(quat, np.broadcast_to(axis, (20000, 3)))
        assert abs(turned.mean(axis=0)).max() < 5 / np.sqrt(3 * 20000)  # five standard errors
        assert np.square(turned).mean(axis=0) == pytest.approx(1 / 3, abs=0.02)
