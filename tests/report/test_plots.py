from pathlib import Path

import pytest

from dlfusion.report import plots


def lightness(colour: str) -> float:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return 0.2126 * red + 0.7152 * green + 0.0722 * blue


def test_more_cores_are_darker() -> None:
    for counts in ((1, 2), (1, 2, 4, 8, 16, 32), tuple(range(1, 13))):
        colours = plots.core_colours(counts)
        assert list(colours) == list(counts)
        shades = [lightness(colours[count]) for count in counts]
        assert shades == sorted(shades, reverse=True)
        assert len(set(colours.values())) == len(counts)
    assert plots.core_colours((4,)) == {4: plots.CORE_COLOURS[0]}


def drawn(folder: Path) -> tuple[bytes, bytes]:
    figure = plots.figure(3, 2)
    axes = figure.subplots()
    axes.plot([1, 2], [3, 4], label="line")
    axes.legend()
    plots.tidy(axes, "title", "x", "y")
    plots.headline(figure, "headline", simulated=True)
    png, svg = plots.save(figure, folder, "stem")
    assert (png.name, svg.name) == ("stem.png", "stem.svg")
    return png.read_bytes(), svg.read_bytes()


def test_equal_figures_give_equal_files(tmp_path: Path) -> None:
    first, second = tmp_path / "first", tmp_path / "second"
    first.mkdir()
    second.mkdir()
    assert drawn(first) == drawn(second)


def test_an_interruption_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    old = drawn(tmp_path)
    figure = plots.figure(3, 2)
    figure.add_subplot().plot([1, 2])
    whole = figure.savefig

    def interrupted(file: Path, **options: object) -> None:
        whole(file, **options)  # type: ignore[arg-type]
        raise KeyboardInterrupt

    figure.savefig = interrupted  # type: ignore[method-assign, assignment]
    with pytest.raises(KeyboardInterrupt):
        plots.save(figure, tmp_path, "stem")
    assert {path.name for path in tmp_path.iterdir()} == {"stem.png", "stem.svg"}
    assert ((tmp_path / "stem.png").read_bytes(), (tmp_path / "stem.svg").read_bytes()) == old


def test_a_folder_that_cannot_be_written_is_the_users_error(tmp_path: Path) -> None:
    with pytest.raises(plots.DrawingError, match=r"cannot write the figure .*stem\.png: No such file"):
        drawn(tmp_path / "gone")


def test_without_matplotlib_the_message_says_how_to_get_it(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(plots, "find_spec", lambda name: None)
    with pytest.raises(plots.DrawingError, match=r"dlfusion\[tuning\]"):
        plots.figure(3, 2)
