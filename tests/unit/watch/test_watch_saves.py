"""No save is missed and none is answered twice, in whatever way and however quickly it comes."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

SAVES = 100


@settings(max_examples=20)
@given(seed=st.integers(0, 2**32))
def test_each_changed_content_is_run_once_and_no_other(editors, saves, seed):
    world = saves.play(editors, seed, SAVES)

    assert len(world.saves) >= SAVES


@pytest.mark.parametrize("way", range(10))
def test_a_single_save_in_each_way_is_run_once_if_it_changed_anything(editors, saves, way):
    world = saves.World(editors, saves.Random(7))
    save, steps = world.editor.save(world.files[0], editors.WAYS[way])

    for pause_ms, step in steps:
        world.clock.run(world.clock.now_ns + int(pause_ms * saves.MS))
        step()
    world.clock.run()

    own = [run.how for run in world.runs if run.test == "test0"]
    assert own == (["ended"] if save.is_change else [])
