// Division by the norm of all channels, at every place of the map.
#pragma once
#include "channels.hpp"

namespace dlfusion {

struct LpNormalizeShape {
  EpilogueSteps steps;
};

// P is 1 or 2. Where all channels are zero, so is the result.
template <class Layout, int P, class Epilogue>
void lp_normalize(const LpNormalizeShape& shape, const Call& call) {
  change_places<Layout, Epilogue>(shape.steps, call, [&](const ChannelVectors<Layout>& channels) {
    const Vector sum = channels.sum([](Vector x) { return P == 1 ? absolute(x) : x * x; });
    const Vector norm = P == 1 ? sum : square_root(sum);
    const Vector divisor = norm == Vector{} ? broadcast(1.0f) : norm;
    return [=](Vector x) { return x / divisor; };
  });
}

}  // namespace dlfusion
