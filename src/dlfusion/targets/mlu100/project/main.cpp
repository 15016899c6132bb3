// Runs the model from the command line: inputs from files or random, outputs printed or written, and the time of each
// block between notifiers.
#include <cstdio>
#include <cstdlib>
#include <exception>
#include <fstream>
#include <memory>
#include <random>
#include <stdexcept>
#include <string>
#include <vector>

#include "model.h"

namespace {

constexpr const char* kUsage =
    "Usage: run_model [options]\n"
    "  --weights FILE         the weights (default: weights.bin)\n"
    "  --input FILE           raw float32 values of an input; once for each, in order (default: random numbers)\n"
    "  --seed N               of the random numbers, which are normally distributed (default: 0)\n"
    "  --output FILE          where to write an output as raw float32; once for each, in order\n"
    "  --data-parallelism N   compute the model N times at once (default: 1)\n"
    "  --runs N               run N times after one run to warm up, and print the times of the last (default: 1)\n";

constexpr std::size_t kShownValues = 8;

struct Options {
  std::string weights = "weights.bin";
  std::vector<std::string> inputs, outputs;
  unsigned int seed = 0;
  int data_parallelism = 1;
  int runs = 1;
};

int number(const std::string& option, const std::string& text, int least) {
  char* end = nullptr;
  const long value = std::strtol(text.c_str(), &end, 10);
  if (text.empty() || *end != '\0' || value < least || value > 1000000) {
    throw std::runtime_error(option + " needs a whole number of at least " + std::to_string(least) + ", not '" + text +
                             "'");
  }
  return static_cast<int>(value);
}

Options parse(const std::vector<std::string>& words) {
  Options options;
  for (std::size_t index = 0; index < words.size(); index += 2) {
    const std::string& option = words[index];
    if (index + 1 == words.size()) throw std::runtime_error(option + " is unknown or lacks its value\n" + kUsage);
    const std::string& value = words[index + 1];
    if (option == "--weights") {
      options.weights = value;
    } else if (option == "--input") {
      options.inputs.push_back(value);
    } else if (option == "--output") {
      options.outputs.push_back(value);
    } else if (option == "--seed") {
      options.seed = static_cast<unsigned int>(number(option, value, 0));
    } else if (option == "--data-parallelism") {
      options.data_parallelism = number(option, value, 1);
    } else if (option == "--runs") {
      options.runs = number(option, value, 1);
    } else {
      throw std::runtime_error("unknown option " + option + "\n" + kUsage);
    }
  }
  return options;
}

void check(dlfusion_status status) {
  if (status != DLFUSION_OK) throw std::runtime_error(dlfusion_error_text());
}

std::size_t elements(int rank, const long* shape) {
  std::size_t count = 1;
  for (int axis = 0; axis < rank; ++axis) count *= static_cast<std::size_t>(shape[axis]);
  return count;
}

std::vector<float> read(const std::string& path, std::size_t count) {
  std::ifstream file(path, std::ios::binary | std::ios::ate);
  if (!file) throw std::runtime_error("cannot open " + path);
  const auto bytes = static_cast<std::size_t>(file.tellg());
  if (bytes != count * sizeof(float)) {
    throw std::runtime_error(path + " has " + std::to_string(bytes) + " bytes, but the input needs " +
                             std::to_string(count) + " float32 values, " + std::to_string(count * sizeof(float)) +
                             " bytes");
  }
  std::vector<float> values(count);
  file.seekg(0);
  file.read(reinterpret_cast<char*>(values.data()), static_cast<std::streamsize>(bytes));
  if (!file) throw std::runtime_error("cannot read " + path);
  return values;
}

void write(const std::string& path, const std::vector<float>& values) {
  std::ofstream file(path, std::ios::binary);
  file.write(reinterpret_cast<const char*>(values.data()), static_cast<std::streamsize>(values.size() * sizeof(float)));
  file.close();
  if (!file) throw std::runtime_error("cannot write " + path);
}

std::vector<std::vector<float>> inputs(const Options& options) {
  const int count = dlfusion_input_count();
  if (!options.inputs.empty() && static_cast<int>(options.inputs.size()) != count) {
    throw std::runtime_error("the model has " + std::to_string(count) +
                             " inputs: give --input once for each, or never");
  }
  std::mt19937 generator(options.seed);
  std::normal_distribution<float> normal;
  std::vector<std::vector<float>> arrays;
  for (int index = 0; index < count; ++index) {
    const std::size_t size = elements(dlfusion_input_rank(index), dlfusion_input_shape(index)) *
                             static_cast<std::size_t>(options.data_parallelism);
    if (options.inputs.empty()) {
      std::vector<float> values(size);
      for (float& value : values) value = normal(generator);
      arrays.push_back(std::move(values));
    } else {
      arrays.push_back(read(options.inputs[static_cast<std::size_t>(index)], size));
    }
  }
  return arrays;
}

std::vector<std::vector<float>> empty_outputs(const Options& options) {
  const int count = dlfusion_output_count();
  if (static_cast<int>(options.outputs.size()) > count) {
    throw std::runtime_error("the model has " + std::to_string(count) + " outputs, but --output is given more often");
  }
  std::vector<std::vector<float>> arrays;
  for (int index = 0; index < count; ++index) {
    arrays.emplace_back(elements(dlfusion_output_rank(index), dlfusion_output_shape(index)) *
                        static_cast<std::size_t>(options.data_parallelism));
  }
  return arrays;
}

void print_times(const std::vector<double>& seconds) {
  double total = 0;
  for (int index = 0; index < dlfusion_block_count(); ++index) {
    const double block = seconds[static_cast<std::size_t>(index)];
    const int cores = dlfusion_block_cores(index);
    std::printf("%-12s %2d %s %12.1f us\n", dlfusion_block_name(index), cores, cores == 1 ? "core " : "cores",
                block * 1e6);
    total += block;
  }
  std::printf("%-12s          %12.1f us between notifiers\n", "all blocks", total * 1e6);
}

void print_values(const char* name, const std::vector<float>& values) {
  std::printf("%s:", name);
  for (std::size_t index = 0; index < values.size() && index < kShownValues; ++index) {
    std::printf(" %g", static_cast<double>(values[index]));
  }
  std::printf(values.size() > kShownValues ? " ... (%zu values)\n" : " (%zu values)\n", values.size());
}

void run(const Options& options) {
  dlfusion_model* model = nullptr;
  check(dlfusion_open(options.weights.c_str(), DLFUSION_CHECK_DIGEST, &model));
  const std::unique_ptr<dlfusion_model, void (*)(dlfusion_model*)> model_owner(model, dlfusion_close);
  dlfusion_context* context = nullptr;
  check(dlfusion_create_parallel(model, options.data_parallelism, &context));
  const std::unique_ptr<dlfusion_context, void (*)(dlfusion_context*)> context_owner(context, dlfusion_destroy);

  const std::vector<std::vector<float>> fed = inputs(options);
  std::vector<std::vector<float>> results = empty_outputs(options);
  std::vector<const float*> from;
  std::vector<float*> to;
  for (const std::vector<float>& array : fed) from.push_back(array.data());
  for (std::vector<float>& array : results) to.push_back(array.data());
  std::vector<double> seconds(static_cast<std::size_t>(dlfusion_block_count()));
  // The first run of a device also loads the blocks' instructions.
  for (int count = 0; count <= options.runs; ++count) {
    check(dlfusion_run_timed(context, from.data(), to.data(), seconds.data()));
  }

  print_times(seconds);
  for (std::size_t index = 0; index < results.size(); ++index) {
    print_values(dlfusion_output_name(static_cast<int>(index)), results[index]);
    if (index < options.outputs.size()) write(options.outputs[index], results[index]);
  }
}

}  // namespace

int main(int count, char** words) {
  const std::vector<std::string> arguments(words + 1, words + count);
  if (arguments.size() == 1 && arguments[0] == "--help") {
    std::fputs(kUsage, stdout);
    return 0;
  }
  try {
    run(parse(arguments));
  } catch (const std::exception& failure) {
    std::fprintf(stderr, "%s\n", failure.what());
    return 1;
  }
  return 0;
}
