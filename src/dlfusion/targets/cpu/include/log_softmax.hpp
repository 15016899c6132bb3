// The logarithm of softmax over channels, at every place of the map.
#pragma once
#include "channels.hpp"

namespace dlfusion {

struct LogSoftmaxShape {
  EpilogueSteps steps;
};

template <class Layout, class Epilogue>
void log_softmax(const LogSoftmaxShape& shape, const Call& call) {
  change_places<Layout, Epilogue>(shape.steps, call, [&](const ChannelVectors<Layout>& channels) {
    const Vector largest = channels.largest([](Vector x) { return x; });
    const Vector logarithm = natural_logarithm(channels.sum([&](Vector x) { return exponential(x - largest); }));
    return [=](Vector x) { return x - largest - logarithm; };
  });
}

}  // namespace dlfusion
