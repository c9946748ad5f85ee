// SPDX-License-Identifier: MIT
// Writes values as pickle instructions (protocol 2) that torch.load(weights_only=True) accepts.
#include <ATen/core/Tensor.h>
#include <c10/util/Exception.h>

#include <algorithm>
#include <bit>
#include <limits>
#include <string>

#include "io/pickle.h"

namespace cdm {
namespace {

constexpr std::string_view kOrderedDict = "ccollections\nOrderedDict\n)R";

class Writer {
 public:
  explicit Writer(const StorageWriter& storages) : storages_(storages) {}

  std::string run(const TorchValue& value) {
    out_ = "\x80\x02";
    write(value);
    out_ += '.';
    return std::move(out_);
  }

 private:
  void write(const TorchValue& value) {
    if (value.is_none()) {
      out_ += 'N';
    } else if (const bool* flag = value.get<bool>()) {
      out_ += *flag ? '\x88' : '\x89';
    } else if (const auto* whole = value.get<std::int64_t>()) {
      write(*whole);
    } else if (const auto* real = value.get<double>()) {
      out_ += 'G';
      const auto bits = std::bit_cast<std::uint64_t>(*real);
      for (int shift = 56; shift >= 0; shift -= 8) out_ += static_cast<char>(bits >> shift & 0xff);
    } else if (const auto* text = value.get<std::string>()) {
      write(*text);
    } else if (const auto* tensor = value.get<at::Tensor>()) {
      write(*tensor);
    } else if (const auto* list = value.get<TorchList>()) {
      out_ += list->is_tuple ? "(" : "](";
      for (const TorchValue& item : list->items) write(item);
      out_ += list->is_tuple ? 't' : 'e';
    } else {
      const auto& dict = *value.get<TorchDict>();
      out_ += dict.is_ordered ? kOrderedDict : "}";
      out_ += '(';
      for (const auto& [key, item] : dict.items) {
        std::visit([this](const auto& name) { write(name); }, key);
        write(item);
      }
      out_ += 'u';
    }
  }

  void write(std::int64_t number) {
    if (number >= 0 && number <= 0xff) {
      out_ += 'K';
      little_endian(number, 1);
    } else if (number >= std::numeric_limits<std::int32_t>::min() &&
               number <= std::numeric_limits<std::int32_t>::max()) {
      out_ += 'J';
      little_endian(number, 4);
    } else {
      out_ += "\x8a\x08";
      little_endian(number, 8);
    }
  }

  void write(const std::string& text) {
    TORCH_CHECK(text.size() <= std::numeric_limits<std::uint32_t>::max(), "text is too long");
    out_ += 'X';
    little_endian(static_cast<std::int64_t>(text.size()), 4);
    out_ += text;
  }

  void write(const at::Tensor& tensor) {
    const auto known =
        std::find_if(kStorageNames.begin(), kStorageNames.end(),
                     [&](const StorageName& entry) { return entry.type == tensor.scalar_type(); });
    TORCH_CHECK(known != kStorageNames.end(), "no PyTorch storage for ", tensor.scalar_type());
    const at::Tensor contiguous = tensor.detach().to(at::kCPU).contiguous();
    // _rebuild_tensor_v2(storage, offset, sizes, strides, requires_grad, backward hooks)
    out_ += "ctorch._utils\n_rebuild_tensor_v2\n((";
    write(std::string("storage"));
    out_ += "ctorch\n";
    out_ += known->name;
    out_ += '\n';
    write(storages_(contiguous));
    write(std::string("cpu"));
    write(contiguous.numel());
    out_ += "tQ";
    write(std::int64_t{0});
    write(contiguous.sizes());
    write(contiguous.strides());
    out_ += '\x89';
    out_ += kOrderedDict;
    out_ += "tR";
  }

  void write(at::IntArrayRef numbers) {
    out_ += '(';
    for (const std::int64_t number : numbers) write(number);
    out_ += 't';
  }

  void little_endian(std::int64_t number, int count) {
    for (int i = 0; i < count; ++i) out_ += static_cast<char>(number >> (8 * i) & 0xff);
  }

  const StorageWriter& storages_;
  std::string out_;
};

}  // namespace

std::string make_pickle(const TorchValue& value, const StorageWriter& storages) {
  return Writer(storages).run(value);
}

}  // namespace cdm
