"""The memory panel: who holds what on each device, the host, disks, and a step's time."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from cockpit.widgets.grid import Grid, Ink
from cockpit.widgets.memory_use import Use, uses, worst
from cockpit.widgets.render_bar import Part, bar, lengths
from cockpit.widgets.render_memory import memory_panel
from cockpit.widgets.render_memory_map import layout
from trainer.contract.messages import Gpu, Hello, Memory, Model, Process, Rank, System

GIB = 2**30


def memory(rank: int, **changes: Any) -> Memory:
    values = {"allocated": 60 * GIB, "reserved": 65 * GIB, "peak": 62 * GIB, "host_pinned": 0,
              "offload_cpu": 0, "offload_nvme": 0}  # fmt: skip
    return Memory(step=1, rank=rank, **{**values, **changes})


def gpu(index: int, **changes: Any) -> Gpu:
    values = {"memory_used": 70 * GIB, "memory_total": 100 * GIB, "utilisation": 0.97,
              "temperature": 61.0, "power": 650.0, "power_limit": 700.0}  # fmt: skip
    return Gpu(index=index, name="H100", **{**values, **changes})


def system(count: int = 0, **changes: Any) -> System:
    values = {"gpus": [gpu(n) for n in range(count)], "processes": [], "ram_used": 8 * GIB,
              "ram_total": 32 * GIB, "host": "node0"}  # fmt: skip
    return System(**{**values, **changes})


def hello(world: int, device: str = "cuda", per_host: int = 8) -> Hello:
    model = Model(
        layers=4, moe_layers=[0], experts=16, experts_per_token=1, hidden=8, vocabulary=8,
        parameters=8, trainable=8,
    )  # fmt: skip
    ranks = [
        Rank(
            rank=n, pid=n, host=f"node{n // per_host}",
            device=f"cuda:{n % per_host}" if device == "cuda" else "cpu",
        )
        for n in range(world)
    ]  # fmt: skip
    return Hello(
        protocol=1, world=world, ranks=ranks, model=model, step=0, steps=1, tokens_per_step=1
    )


def panel(width: int, height: int, *values: Any) -> list[str]:
    return memory_panel(width, height, *values).lines()


def parts(use: Use) -> dict[str, int]:
    return {part.title: size // GIB for part, size in use.parts}


# --- who holds a device ------------------------------------------------------------------


def test_what_others_hold_is_told_from_cudas_own_where_nvml_knows_the_processes() -> None:
    seen = system(gpus=[gpu(0, memory_run=67 * GIB)])
    (use,) = uses({0: memory(0)}, seen, hello(1))
    assert parts(use) == {"allocated": 60, "reserved": 5, "CUDA": 2, "other": 3}
    assert use.outside == 5 * GIB
    (use,) = uses({0: memory(0)}, system(1), hello(1))
    assert parts(use) == {"allocated": 60, "reserved": 5, "CUDA": 0, "other": 5}


def test_ranks_on_other_hosts_have_what_they_tell_themselves_and_no_sensors() -> None:
    samples = {
        n: memory(n, device_total=100 * GIB, device_free=(n + 1) * 10 * GIB) for n in range(2)
    }
    near, far = uses(samples, system(1), hello(2, per_host=1))
    assert near.gpu is not None and parts(near)["other"] == 5
    assert far.gpu is None and far.total == 100 * GIB
    assert parts(far)["other"] == 100 - 20 - 65


def test_gpus_are_counted_as_the_run_counts_them_whatever_their_number_is() -> None:
    seen = system(gpus=[gpu(5, temperature=50.0), gpu(4, temperature=40.0)])
    found = uses({n: memory(n) for n in range(2)}, seen, hello(2))
    assert [use.gpu.temperature for use in found if use.gpu] == [50.0, 40.0]


def test_a_samples_age_makes_nothing_negative() -> None:
    seen = system(gpus=[gpu(0, memory_used=GIB, memory_run=GIB)])
    (use,) = uses({0: memory(0)}, seen, hello(1))
    assert min(size for _, size in use.parts) == 0
    assert use.outside == 0


def test_pressure_counts_the_peak_and_what_others_hold() -> None:
    samples = {0: memory(0), 1: memory(1, peak=90 * GIB), 2: memory(2)}
    found = uses(samples, system(3), hello(3))
    assert [round(use.pressure or 0, 2) for use in found] == [0.67, 0.95, 0.67]
    assert worst(found) == 1
    assert worst(uses({}, system(gpus=[gpu(0, memory_total=None)]), None)) is None


# --- bars --------------------------------------------------------------------------------

sizes = st.lists(st.integers(0, 10**12), min_size=1, max_size=6)


@given(sizes, st.integers(0, 10**13), st.integers(0, 120))
def test_parts_of_a_bar_fill_their_share_to_a_cell(held: list[int], free: int, width: int) -> None:
    total = sum(held) + free
    cells = lengths(held, total, width)
    assert sum(cells) <= width
    assert all(n == 0 for n, size in zip(cells, held, strict=True) if size == 0)
    some = sum(size > 0 for size in held)
    if some <= width:
        assert all(n > 0 for n, size in zip(cells, held, strict=True) if size > 0)
    for n, size in zip(cells, held, strict=True):
        # A cell for what is too little for one may be taken from the others.
        assert abs(n - size / max(total, 1) * width) < 1 + some


@given(sizes, st.integers(0, 10**13), st.integers(1, 120))
def test_a_full_bar_is_drawn_full_and_its_glyphs_tell_its_parts(
    held: list[int], peak: int, width: int
) -> None:
    grid, total = Grid(width, 1), sum(held)
    parts = (Part.ALLOCATED, Part.RESERVED, Part.CUDA, Part.OTHER, Part.OFFLOAD, Part.CHECKPOINT)
    named = list(zip(parts, held, strict=False))
    assert bar(grid, 0, 0, width, named, total) == width
    text = grid.text(0)
    free = Part.FREE.glyph
    if total and sum(size > 0 for size in held) <= width:
        glyphs = [part.glyph for part, size in named if size > 0]
        assert sorted(set(text), key=text.index) == list(dict.fromkeys(glyphs))
    elif not total:
        assert text == free * width
    bar(grid, 0, 0, width, named, total, peak)
    assert grid.text(0).count(Part.PEAK.glyph) <= 1


def test_no_two_parts_of_a_device_or_of_a_step_look_alike_without_colour() -> None:
    held = [Part.ALLOCATED, Part.RESERVED, Part.CUDA, Part.OTHER, Part.FREE, Part.PEAK]
    time = [Part.DATA, Part.FORWARD, Part.BACKWARD, Part.OPTIMIZER, Part.COMMUNICATION,
            Part.OFFLOAD, Part.CHECKPOINT, Part.REST]  # fmt: skip
    for kinds in (held, time):
        assert len({part.glyph for part in kinds}) == len(kinds)


# --- the panel ---------------------------------------------------------------------------


def test_a_wide_panel_has_every_figure_of_a_gpu_under_headings() -> None:
    text = panel(118, 12, {0: memory(0)}, system(1), hello(1))
    assert text[0].endswith("peak 62.0 GiB")
    assert text[1].split() == ["allocated", "peak", "reserved", "others"]
    assert text[2].startswith("rank 0  █")
    for figure in ("60.0/100 GiB", "62.0 GiB", "65.0 GiB", "5.00 GiB", "97 %", "61 °C",
                   "650/700 W"):  # fmt: skip
        assert figure in text[2]
    legend = "█ allocated  ▓ reserved  ░ other  · free  │ peak"
    assert any(legend in line for line in text)


def test_a_narrow_panel_tells_the_rest_below_each_gpu() -> None:
    text = panel(62, 10, {n: memory(n) for n in range(2)}, system(2), hello(2))
    assert "97 %  61 °C  650/700 W" in text[1]
    assert text[2].strip() == "peak 62.0 GiB · reserved 65.0 GiB · others 5.00 GiB"
    assert text[3].startswith("rank 1")


def test_devices_short_of_memory_are_marked_by_a_sign_as_well_as_by_colour() -> None:
    samples = {n: memory(n, peak=peak * GIB) for n, peak in enumerate((62, 88, 95))}
    for width, height in ((118, 12), (48, 8)):
        grid = memory_panel(width, height, samples, system(3), hello(3))
        rows = [n for n, line in enumerate(grid.lines()) if line.startswith("rank")]
        assert [grid.text(row)[7] for row in rows] == [" ", "!", "!"]
        inks = [grid.inks[row, 7] for row in rows]
        assert inks[1:] == [Ink.WARN, Ink.BAD]


@pytest.mark.parametrize("count", [1, 4, 8])
def test_up_to_eight_gpus_are_rows(count: int) -> None:
    text = panel(62, 15, {n: memory(n) for n in range(count)}, system(count), hello(count))
    rows = [line for line in text if line.startswith("rank")]
    assert len(rows) == count
    assert all("60.0/100 GiB" in row for row in rows)
    assert any(line.startswith("host") for line in text)


def test_sixty_four_gpus_are_a_map_with_the_worst_marked_and_told() -> None:
    samples = {
        n: memory(n, device_total=100 * GIB, device_free=30 * GIB, peak=peak * GIB)
        for n, peak in enumerate([62] * 42 + [95] + [62] * 21)
    }
    grid = memory_panel(62, 15, samples, system(8), hello(64))
    text = grid.lines()
    assert text[1].split()[:4] == ["0", "67%", "1", "67%"]
    assert text[8].split()[-2:] == ["63", "67%"]
    row, column = next((n, line.index("▸")) for n, line in enumerate(text) if "▸42" in line)
    assert "▸42 99%" in text[row]
    assert grid.inks[row, column] == Ink.BAD
    assert text[9].startswith("▸ rank 42 node5 · 60.0/100 GiB · peak 95.0 GiB")
    assert text[11].startswith("host")


def test_a_map_too_small_for_numbers_still_has_a_cell_for_each_gpu() -> None:
    samples = {n: memory(n, device_total=100 * GIB, device_free=30 * GIB) for n in range(64)}
    text = panel(32, 7, samples, system(8), hello(64))
    cells = "".join(text[1:5]).replace(" ", "")
    assert cells == "▸" + 63 * "▆"
    assert text[5].startswith("▸ rank 0 node0")
    assert "".join(panel(32, 4, samples, system(8), hello(64))[1:3]) == "▸" + 63 * "▆"


@given(st.integers(1, 200), st.integers(1, 200), st.integers(1, 60))
def test_a_map_shows_all_where_there_is_a_cell_for_each(
    count: int, width: int, height: int
) -> None:
    found = layout(count, width, height)
    assert found.columns * found.cell <= width
    if count <= width * height:
        assert -(-count // found.columns) <= height


def test_cpu_ranks_are_measured_against_the_hosts_memory() -> None:
    samples = {n: memory(n, allocated=GIB, peak=2 * GIB) for n in range(2)}
    text = panel(70, 8, samples, system(cpu=0.5), hello(2, "cpu"))
    assert text[0].endswith("peak 2.00 GiB")
    assert any(
        line.startswith("rank 0  █") and line.endswith("1.00/32.0 GiB  2.00 GiB") for line in text
    )
    assert any("8.00/32.0 GiB" in line for line in text)


def test_a_gpu_without_sensors_shows_na() -> None:
    seen = system(gpus=[Gpu(index=0, name="H200", memory_total=140 * GIB)])
    text = "\n".join(panel(118, 8, {0: memory(0)}, seen, hello(1)))
    assert "60.0/140 GiB" in text
    assert text.count("NA") >= 4  # others, utilisation, temperature, power


def test_while_the_model_loads_gpus_and_processes_are_on_screen() -> None:
    seen = system(1, processes=[Process(rank=0, pid=1, rss=3 * GIB)])
    text = panel(60, 9, {}, seen, None)
    assert text[1].startswith("GPU 0") and "70.0/100 GiB" in text[1]
    assert any(line.startswith("rank 0") and "3.00" in line for line in text)
    wide = panel(118, 9, {}, seen, None)
    assert not any("NA" in line for line in wide if line.startswith(("GPU", "rank")))
    assert panel(40, 5, {}, None, None)[2].strip() == "no sample yet"


def test_offloaded_and_swapped_state_is_told_with_rates_and_waiting() -> None:
    samples = {
        n: memory(
            n, host_pinned=GIB, offload_cpu=4 * GIB, offload_nvme=100 * GIB, nvme_read=2.0 * GIB,
            nvme_write=1.0 * GIB, nvme_free=500 * GIB, offload_wait=0.1 + 0.25 * n,
        )
        for n in range(2)
    }  # fmt: skip
    grid = memory_panel(118, 16, samples, system(2), hello(2, per_host=1))
    text = grid.lines()
    nvme = next(line for line in text if line.startswith("NVMe"))
    for told in ("200 GiB", "waits 35 %", "read 4.00 GiB/s", "write 2.00 GiB/s", "500 GiB free"):
        assert told in nvme
    offload = next(line for line in text if line.startswith("offload"))
    assert offload.split(None, 1)[1] == "8.00 GiB in RAM · 2.00 GiB pinned · on 2 hosts"
    row = text.index(nvme)
    assert grid.inks[row, nvme.index("waits")] == Ink.WARN
    plain = panel(118, 16, {0: memory(0)}, system(1), hello(1))
    assert not any(line.startswith(("NVMe", "offload")) for line in plain)


def test_the_ranks_own_disk_traffic_is_told_else_that_of_the_host() -> None:
    process = Process(rank=0, pid=1, rss=GIB, disk_read=0.0, disk_write=3.0 * 2**20)
    seen = system(processes=[process], disk_free=GIB, disk_read=9.0, disk_write=9.0)
    assert any(
        "ranks read 0 B/s · write 3.00 MiB/s" in line for line in panel(90, 9, {}, seen, None)
    )
    seen = system(disk_free=GIB, disk_read=9.0, disk_write=8.0)
    assert any("free · read 9 B/s · write 8 B/s" in line for line in panel(90, 9, {}, seen, None))


def test_what_a_steps_time_went_into_is_a_line_and_with_room_a_table() -> None:
    step = {"forward": 0.3, "backward": 0.5, "offload": 0.2, "data": 1e-5, "sorting": 0.02}
    text = panel(118, 24, {0: memory(0)}, system(1), hello(1), step)
    line = next(line for line in text if line.startswith("step"))
    assert "1.02 s · ▓ backward 49 % · █ forward 29 % · × offload 20 %" in line
    table = [
        line.split()
        for line in text
        if line.endswith("%") and not line.startswith(("step", "host"))
    ]
    assert [(row[0], row[-2]) for row in table] == [
        ("forward", "29"), ("backward", "49"), ("offload", "20"), ("rest", "2"),
    ]  # fmt: skip
    assert not any(
        line.startswith("backward")
        for line in panel(40, 7, {0: memory(0)}, system(1), hello(1), step)
    )


@given(
    st.integers(1, 210), st.integers(1, 62), st.integers(0, 70), st.booleans(),
    st.dictionaries(st.sampled_from(["forward", "backward", "offload", "odd"]), st.floats(0, 9)),
)  # fmt: skip
def test_the_panel_draws_at_any_size(
    width: int, height: int, count: int, on_gpus: bool, step: dict[str, float]
) -> None:
    samples = {n: memory(n, offload_cpu=GIB, offload_nvme=n, host_pinned=n) for n in range(count)}
    device = "cuda" if on_gpus else "cpu"
    grid = memory_panel(width, height, samples, system(8 * on_gpus), hello(count, device), step)
    assert (grid.width, grid.height) == (width, height)
    if count and width >= 32 and height >= 7:
        text = grid.lines()
        assert any(line.startswith("host") for line in text)
        if height >= count + 9:
            assert sum(line.startswith("rank") for line in text) == count
