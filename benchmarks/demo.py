"""`make demo`: ResNet-50 from ONNX to fused multi-core C++, checked against ONNX Runtime and timed against it.

The architecture is the real one (ResNet-50 v1.5, 25.6 million weights); the weights are random numbers from a fixed
seed, since nothing is downloaded. They change neither the time nor what the check proves, only what the classes mean.
"""

from pathlib import Path

from rich.console import Console

from dlfusion import driver, zoo
from dlfusion.bench.compare import Options, compare
from dlfusion.bench.engines.onnx_runtime import OnnxRuntime
from dlfusion.cli.compile import compile_model
from dlfusion.cli.console import guarded, output, progress
from dlfusion.machine.host import usable_cores
from dlfusion.plans.plan import Plan
from dlfusion.report.comparisons import engine_table
from dlfusion.report.table import terminal

FOLDER = Path("demo")
MODEL = FOLDER / "resnet50.onnx"
ARTEFACT = FOLDER / "resnet50.dlfusion"
COMPARED = ("dlfusion", "fixed-block:3", "all-cores")
"""The strategies to time: the default, which decides by the profile of a CPU; three layers to a block; never fused."""
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
    console.print(f"   dlfusion compile {MODEL} -o {ARTEFACT}\n")
    compile_model(MODEL, out=ARTEFACT)

    cores = tuple(sorted({1, usable_cores()}))
    console.print("\n[bold]3. Time it against ONNX Runtime,[/] all in turns")
    options = [f"-s {name}" for name in COMPARED] + [f"--cores {count}" for count in cores]
    console.print(f"   dlfusion bench {MODEL} {' '.join(options)} --peers onnxruntime --no-memory\n")
    network = driver.import_model(MODEL)
    for name in COMPARED:
        console.print(f"   {name}: {fused_text(driver.plan(network, strategy=name))}", highlight=False)
    console.print()
    with progress() as advance:
        record = compare([MODEL], Options(COMPARED, cores, SECONDS, memory=False, peers=(OnnxRuntime,)), advance)
    output().print(terminal(engine_table(record)))
    console.print(f"\nRead the generated code: {ARTEFACT}/sources    the plan, to edit: {ARTEFACT}/plan.json")
    console.print(f"Why it cuts where it does: dlfusion explain {MODEL} --why    tune it: --strategy tuned")
    console.print(f"Run it on an image:      dlfusion run {ARTEFACT} --input photo.jpg")
    console.print(f"Without Python: {ARTEFACT}/example.c is a C program that runs it; docs/embedding.md has more")


def fused_text(plan: Plan) -> str:
    """In words, how many of a plan's layers run fused."""
    lengths = [len(block.layers) for block in plan.blocks]
    fused = [length for length in lengths if length > 1]
    if not fused:
        return f"nothing is fused; each of the {len(lengths)} layers is a block of its own"
    sizes = f"{min(fused)}" if min(fused) == max(fused) else f"{min(fused)} to {max(fused)}"
    return (
        f"{sum(fused)} of {sum(lengths)} layers run in {len(fused)} fused blocks of {sizes} layers, "
        f"{len(lengths) - len(fused)} alone"
    )


if __name__ == "__main__":
    main()
