"""`python -m dlfusion.zoo resnet50 -o resnet50.onnx`: writes a model of the zoo to a file."""

import argparse
from pathlib import Path

from dlfusion import zoo


def main() -> None:
    """Builds the model that the command line names and writes it."""
    parser = argparse.ArgumentParser(
        prog="python -m dlfusion.zoo", description="Write a model with seeded weights as ONNX."
    )
    parser.add_argument("name", choices=zoo.ALL_NAMES)
    parser.add_argument("-o", "--output", type=Path, help="file to write (default: NAME.onnx)")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--batch", type=int, help="images or signals per run (default: 1)")
    parser.add_argument("--size", type=int, help="height, and width of square inputs, in pixels; or samples of sound")
    parser.add_argument("--width", type=int, help="width in pixels, if it is not the height")
    parser.add_argument("--width-factor", type=float, help="channels relative to the published model")
    arguments = vars(parser.parse_args())
    name, output, seed = (arguments.pop(key) for key in ("name", "output", "seed"))
    path = output or Path(f"{name}.onnx")
    try:
        model = zoo.build(name, seed, **{key: value for key, value in arguments.items() if value is not None})
    except TypeError as error:
        parser.error(f"{name} does not take one of these options: {error}")
    path.write_bytes(model.SerializeToString())
    print(f"{path}: {path.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
