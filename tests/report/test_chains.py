from dlfusion.report.chains import chain_label, chain_layers


def test_a_chain_names_its_layers() -> None:
    names = ("convolution 3x3 8 @7x7", "convolution 1x1 8>4 @7x7 with sum")
    assert chain_label(names) == "chain 2: convolution 3x3 8 @7x7 + convolution 1x1 8>4 @7x7 with sum"
    assert chain_layers(chain_label(names)) == names


def test_a_layer_names_itself() -> None:
    assert chain_layers("max pool 2x2 s2 64 @56x56") == ("max pool 2x2 s2 64 @56x56",)
