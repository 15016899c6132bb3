// Normalization over channels, at every place of the map.
#pragma once
#include "channels.hpp"

namespace dlfusion {

struct LayerNormalizeShape {
  float factor;  // one over the number of channels
  float epsilon;
  EpilogueSteps steps;
};

// The variance is summed around the mean, and the mean's own rounding error is measured and taken off: large means cost
// no digits.
template <class Layout, class Epilogue>
void layer_normalize(const LayerNormalizeShape& shape, const Call& call) {
  change_places<Layout, Epilogue>(shape.steps, call, [&](const ChannelVectors<Layout>& channels) {
    const Vector mean = channels.sum([](Vector x) { return x; }) * shape.factor;
    const Vector rest = channels.sum([&](Vector x) { return x - mean; }) * shape.factor;
    const Vector squares = channels.sum([&](Vector x) { return (x - mean - rest) * (x - mean - rest); });
    const Vector scale = 1.0f / square_root(squares * shape.factor + shape.epsilon);
    return [=](Vector x) { return (x - mean - rest) * scale; };
  });
}

}  // namespace dlfusion
