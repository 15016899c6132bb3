"""`make demo`: ResNet-50 from ONNX to fused multi-core C++, checked against ONNX Runtime and timed against it.

The architecture is the real one (ResNet-50 v1.5, 25.6 million weights); the weights are random numbers from a fixed
seed, since nothing is downloaded. They change neither the time nor what the check proves, only what the classes mean.
"""

from pathlib import Path

from rich.console import Console

import zoo
from dlfusion.bench.compare import Options, compare
from dlfusion.cli.compile import compile_model
from dlfusion.cli.console import guarded, output, progress
from dlfusion.cli.options import available_cores
from dlfusion.report.comparisons import engine_table
from dlfusion.report.table import terminal

FOLDER = Path("demo")
MODEL = FOLDER / "resnet50.onnx"
ARTEFACT = FOLDER / "resnet50.dlfusion"
STRATEGY = "fixed-block"
COMPARED = ("fixed-block", "fixed-block:3", "fuse-all")
"""The strategies to time: the one that chooses by its cost model, and two that always fuse."""
SECONDS = 3.0


@guarded
def main() -> None:
    """Build the model, compile it with every stage visible, and compare."""
    console = Console(highlight=False, soft_wrap=True)
    FOLDER.mkdir(exist_ok=True)
    console.print("[bold]1. The model:[/] ResNet-50 v1.5, 224 x 224, weights from a fixed seed (nothing is downloaded)")
    MODEL.write_bytes(zoo.build("resnet50").SerializeToString())
    console.print(f"   {MODEL}: {MODEL.stat().st_size / 1e6:.0f} MB\n")

    console.print(
        "[bold]2. Compile it:[/] import, plan, generate C++, build, check against ONNX Runtime, time each block"
    )
    console.print(f"   dlfusion compile {MODEL} -o {ARTEFACT} --strategy {STRATEGY}\n")
    compile_model(MODEL, out=ARTEFACT, strategy=STRATEGY)

    cores = tuple(sorted({1, available_cores()}))
    console.print("\n[bold]3. Time it against ONNX Runtime,[/] both in turns in one process")
    console.print(f"   dlfusion bench {MODEL} {' '.join(f'-s {name}' for name in COMPARED)}\n")
    with progress() as advance:
        record = compare([MODEL], Options(COMPARED, cores, SECONDS, memory=False), advance)
    output().print(terminal(engine_table(record)))
    console.print(f"\nRead the generated code: {ARTEFACT}/sources    the plan, to edit: {ARTEFACT}/plan.json")
    console.print(f"Run it on an image:      dlfusion run {ARTEFACT} --input photo.jpg")
    console.print("Without Python: link model.so with the C interface in dlfusion.h, both in the same folder.")


if __name__ == "__main__":
    main()
