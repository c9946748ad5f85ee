// SPDX-License-Identifier: MIT
// Runs a pickle's instructions on a stack of plain values. No code of Python can be called: the
// only "functions" are those in the two lists below.
#include <ATen/ops/as_strided.h>
#include <ATen/ops/empty.h>

#include <algorithm>
#include <bit>
#include <span>
#include <unordered_map>

#include "cdm/core/error.h"
#include "cdm/core/text.h"
#include "io/pickle.h"
#include "io/pickle_numpy.h"
#include "io/pickle_objects.h"

namespace cdm {
namespace {

using namespace pickle;

struct FunctionName {
  std::string_view module, name;
  Function function;
};
constexpr std::array<FunctionName, 4> kTorchFunctions = {
    {{"collections", "OrderedDict", Function::ordered_dict},
     {"torch._utils", "_rebuild_tensor_v2", Function::rebuild_tensor},
     {"torch._utils", "_rebuild_parameter", Function::rebuild_parameter},
     {"torch", "Size", Function::size}}};
// NumPy 2 calls its module numpy._core.
constexpr std::array<FunctionName, 5> kNumpyFunctions = {
    {{"numpy.core.multiarray", "_reconstruct", Function::reconstruct_array},
     {"numpy._core.multiarray", "_reconstruct", Function::reconstruct_array},
     {"numpy", "ndarray", Function::array_class},
     {"numpy", "dtype", Function::array_type},
     {"_codecs", "encode", Function::encode_text}}};

// Of arrays and the bytes that they are made of, as a multiple of the pickle's own size: an array
// may be twice as wide as in the file.
constexpr std::size_t kMostGrowth = 4;

/// What one kind of pickle may hold, and how messages call it.
struct Dialect {
  std::string_view file, pickle, things;
  std::span<const FunctionName> functions;
  bool has_storages;
};
constexpr Dialect kTorch = {"PyTorch file", "data.pkl", "tensors", kTorchFunctions, true};
constexpr Dialect kNumpy = {"pickle of NumPy arrays", "bytes", "arrays", kNumpyFunctions, false};

constexpr std::size_t kMostDimensions = 64;  // ATen's own limit

class Parser {
 public:
  Parser(const Dialect& dialect, std::string_view bytes, const StorageReader& storages,
         const std::string& source)
      : dialect_(dialect), bytes_(bytes), storages_(storages), source_(source) {}

  TorchValue run() {
    while (step()) {
    }
    const Object result = pop();
    if (!stack_.empty() || !marks_.empty()) throw fail("values are left over at its end");
    return finish(objects_, result, failure_);
  }

 private:
  UserError fail(const std::string& reason) const {
    return UserError(concat(source_, ": not a usable ", dialect_.file, ": ", reason, " (byte ",
                            instruction_, " of its ", dialect_.pickle, ")"));
  }

  // Reading the bytes.
  std::string_view take(std::size_t count) {
    if (count > bytes_.size() - position_) throw fail("it ends too early");
    position_ += count;
    return bytes_.substr(position_ - count, count);
  }
  std::uint64_t number(std::size_t count) {
    std::uint64_t value = 0;
    std::size_t shift = 0;
    for (const char c : take(count)) {
      value |= static_cast<std::uint64_t>(static_cast<std::uint8_t>(c)) << shift;
      shift += 8;
    }
    return value;
  }
  std::int64_t signed_number(std::size_t count) {
    if (count == 0) return 0;
    if (count > 8) throw fail("a whole number needs more than 64 bits");
    const auto unused = static_cast<unsigned>(64 - 8 * count);
    return static_cast<std::int64_t>(number(count) << unused) >> unused;
  }
  double real() {
    std::uint64_t bits = 0;
    for (const char c : take(8)) bits = bits << 8U | static_cast<std::uint8_t>(c);
    return std::bit_cast<double>(bits);
  }
  std::string_view line() {
    const std::size_t end = bytes_.find('\n', position_);
    if (end == std::string_view::npos) throw fail("it ends too early");
    const std::string_view text = take(end - position_);
    ++position_;
    return text;
  }

  // The stack. Values below the last mark cannot be popped.
  void push(Contents contents) {
    objects_.push_back(std::move(contents));
    stack_.push_back(static_cast<Object>(objects_.size() - 1));
  }
  Object pop() {
    top();
    const Object object = stack_.back();
    stack_.pop_back();
    return object;
  }
  Object top() const {
    if (stack_.size() <= (marks_.empty() ? 0 : marks_.back())) throw fail("a value is missing");
    return stack_.back();
  }
  std::vector<Object> pop_to_mark() {
    if (marks_.empty()) throw fail("a mark is missing");
    const auto first = stack_.begin() + static_cast<std::ptrdiff_t>(marks_.back());
    std::vector<Object> items(first, stack_.end());
    stack_.erase(first, stack_.end());
    marks_.pop_back();
    return items;
  }
  std::vector<Object> pop_many(std::size_t count) {
    std::vector<Object> items(count);
    for (std::size_t i = count; i > 0; --i) items[i - 1] = pop();
    return items;
  }
  template <class T>
  T& expect(Object object, const char* what) {
    return pickle::expect<T>(objects_, object, what, failure_);
  }

  bool step();
  void push_global();
  void push_storage();
  void set_items(const std::vector<Object>& items);
  void reduce();
  void build();
  void count_copied(std::size_t bytes);
  at::Tensor rebuild_tensor(const Sequence& arguments);

  const Dialect& dialect_;
  std::string_view bytes_;
  const StorageReader& storages_;
  const std::string& source_;
  const Failure failure_ = [this](const std::string& reason) { return fail(reason); };
  std::size_t position_ = 0, instruction_ = 0;

  Objects objects_;
  std::vector<Object> stack_;
  std::vector<std::size_t> marks_;  // heights of the stack when the marks were set
  std::unordered_map<std::uint64_t, Object> memo_;
  std::size_t copied_ = 0;  // bytes of arrays and of encoded text
};

/// Runs one instruction; false when it was the last.
bool Parser::step() {
  instruction_ = position_;
  const char code = take(1)[0];
  switch (code) {
    case '\x80':  // PROTO
      if (const std::uint64_t protocol = number(1); protocol != 2) {
        throw fail(concat("pickle protocol ", protocol, " is not read here, only 2"));
      }
      break;
    case '.':  // STOP
      return false;
    case 'N':
      push(std::monostate());
      break;
    case '\x88':  // NEWTRUE, then NEWFALSE
    case '\x89':
      push(code == '\x88');
      break;
    case 'K':  // BININT1, BININT2, BININT, LONG1
      push(static_cast<std::int64_t>(number(1)));
      break;
    case 'M':
      push(static_cast<std::int64_t>(number(2)));
      break;
    case 'J':
      push(signed_number(4));
      break;
    case '\x8a':
      push(signed_number(static_cast<std::size_t>(number(1))));
      break;
    case 'G':  // BINFLOAT
      push(real());
      break;
    case 'X':  // BINUNICODE
      push(std::string(take(static_cast<std::size_t>(number(4)))));
      break;
    case 'U':  // SHORT_BINSTRING, BINSTRING: Python 2's text
      push(std::string(take(static_cast<std::size_t>(number(1)))));
      break;
    case 'T':
      push(std::string(take(static_cast<std::size_t>(number(4)))));
      break;
    case '(':
      marks_.push_back(stack_.size());
      break;
    case ')':  // EMPTY_TUPLE, TUPLE1 to TUPLE3, TUPLE
      push(Sequence{{}, true});
      break;
    case '\x85':
    case '\x86':
    case '\x87':
      push(Sequence{pop_many(static_cast<std::size_t>(code - '\x84')), true});
      break;
    case 't':
      push(Sequence{pop_to_mark(), true});
      break;
    case ']':
      push(Sequence{{}, false});
      break;
    case 'a':  // APPEND, APPENDS
    case 'e': {
      const std::vector<Object> items = code == 'a' ? pop_many(1) : pop_to_mark();
      auto& list = expect<Sequence>(top(), "a list");
      if (list.is_tuple) throw fail("a tuple is changed");
      list.items.insert(list.items.end(), items.begin(), items.end());
      break;
    }
    case '}':
      push(Mapping{{}, false});
      break;
    case 's':  // SETITEM, SETITEMS
      set_items(pop_many(2));
      break;
    case 'u':
      set_items(pop_to_mark());
      break;
    case 'q':  // BINPUT, LONG_BINPUT, BINGET, LONG_BINGET
    case 'r':
      memo_[number(code == 'q' ? 1 : 4)] = top();
      break;
    case 'h':
    case 'j': {
      const auto found = memo_.find(number(code == 'h' ? 1 : 4));
      if (found == memo_.end()) throw fail("it refers to a value that is not there");
      stack_.push_back(found->second);
      break;
    }
    case 'c':
      push_global();
      break;
    case 'Q':
      push_storage();
      break;
    case 'R':
      reduce();
      break;
    case 'b':
      build();
      break;
    default:
      throw fail(concat("instruction ", static_cast<int>(static_cast<std::uint8_t>(code)),
                        " is not read here"));
  }
  return true;
}

void Parser::push_global() {
  const std::string_view module = line();
  const std::string_view name = line();
  const auto function = std::find_if(
      dialect_.functions.begin(), dialect_.functions.end(),
      [&](const FunctionName& known) { return known.module == module && known.name == name; });
  if (function != dialect_.functions.end()) {
    push(function->function);
    return;
  }
  const auto storage = std::find_if(kStorageNames.begin(), kStorageNames.end(),
                                    [&](const StorageName& known) { return known.name == name; });
  if (dialect_.has_storages && module == "torch" && storage != kStorageNames.end()) {
    push(StorageType{storage->type});
  } else if (dialect_.has_storages && module == "torch.storage" && name == "UntypedStorage") {
    push(StorageType{at::kByte});
  } else {
    throw fail(concat("it asks Python for '", printable(module), ".", printable(name),
                      "', which is not read here: only ", dialect_.things,
                      ", numbers, text, lists, tuples and dicts of them are"));
  }
}

void Parser::push_storage() {
  if (!dialect_.has_storages) throw fail("it refers to another file");
  // ("storage", type, key, device, element count)
  const std::vector<Object> id = expect<Sequence>(pop(), "a storage's description").items;
  if (id.size() != 5 || expect<std::string>(id[0], "the word 'storage'") != "storage") {
    throw fail("something else is where a storage's description is due");
  }
  const at::ScalarType type = expect<StorageType>(id[1], "a type of storage").type;
  const auto& key = expect<std::string>(id[2], "a storage's key");
  const std::int64_t count = expect<std::int64_t>(id[4], "a storage's size");
  if (count < 0) throw fail("a storage has a negative size");
  push(Storage{storages_(key, type, count)});
}

void Parser::set_items(const std::vector<Object>& items) {
  auto& map = expect<Mapping>(top(), "a dict");
  if (items.size() % 2 != 0) throw fail("a key has no value");
  for (std::size_t i = 0; i < items.size(); i += 2) map.items.emplace_back(items[i], items[i + 1]);
}

void Parser::reduce() {
  const auto& arguments = expect<Sequence>(pop(), "a tuple of arguments");
  const std::size_t count = arguments.items.size();
  switch (expect<Function>(pop(), "a function")) {
    case Function::ordered_dict:
      if (count != 0) throw fail("an OrderedDict is made from arguments");
      push(Mapping{{}, true});
      return;
    case Function::rebuild_tensor:
      push(rebuild_tensor(arguments));
      return;
    case Function::rebuild_parameter:  // (tensor, requires_grad, backward hooks)
      if (count != 3) throw fail("a parameter is not made from three arguments");
      expect<at::Tensor>(arguments.items[0], "a tensor");
      stack_.push_back(arguments.items[0]);
      return;
    case Function::size:
      if (count != 1) throw fail("a torch.Size is not made from one argument");
      whole_numbers(objects_, arguments.items[0], failure_);
      stack_.push_back(arguments.items[0]);
      return;
    case Function::reconstruct_array:  // (class, shape, type): all but the class is set by BUILD
      if (count != 3 || expect<Function>(arguments.items[0], "NumPy's class of arrays") !=
                            Function::array_class) {
        throw fail("something else than a NumPy array is made");
      }
      push(UnbuiltArray());
      return;
    case Function::array_type:  // (name, align, copy)
      if (count != 3) throw fail("a NumPy type is not made from three arguments");
      push(ArrayType{expect<std::string>(arguments.items[0], "the name of a type"), "="});
      return;
    case Function::encode_text:  // (text, encoding)
      if (count != 2 || expect<std::string>(arguments.items[1], "an encoding") != "latin1") {
        throw fail("bytes are not made from latin1 text");
      }
      push(latin1_bytes(expect<std::string>(arguments.items[0], "text"), failure_));
      count_copied(std::get<std::string>(objects_.back()).size());
      return;
    case Function::array_class:
      throw fail("it calls NumPy's class of arrays");
  }
}

/// BUILD: sets the state of the object below it on the stack.
void Parser::build() {
  const Object state = pop();
  const Object target = top();
  if (std::holds_alternative<Mapping>(objects_[target])) {
    // PyTorch gives state dicts a _metadata attribute, which holds no weights.
    expect<Mapping>(state, "a dict of attributes");
  } else if (auto* const type = std::get_if<ArrayType>(&objects_[target])) {
    // (version, order of bytes, and more that only types of several fields have)
    const auto& values = expect<Sequence>(state, "the state of a NumPy type").items;
    if (values.size() < 2) throw fail("a NumPy type lacks its order of bytes");
    type->order = expect<std::string>(values[1], "the order of bytes of a NumPy type");
  } else {
    expect<UnbuiltArray>(target, "a dict, or a new NumPy array or type,");
    at::Tensor array = build_array(objects_, state, failure_);
    count_copied(array.nbytes());
    objects_[target] = std::move(array);
  }
}

/// A short pickle may use a long text very often. One that was written from values does not: each
/// byte of it belongs to one array.
void Parser::count_copied(std::size_t bytes) {
  copied_ += bytes;
  if (copied_ / kMostGrowth > bytes_.size())
    throw fail("it uses the same bytes for several arrays");
}

/// (storage, offset, sizes, strides, requires_grad, backward hooks[, metadata])
at::Tensor Parser::rebuild_tensor(const Sequence& arguments) {
  const std::vector<Object>& items = arguments.items;
  if (items.size() != 6 && items.size() != 7) throw fail("a tensor has too few or many properties");
  if (items.size() == 7 && !expect<Mapping>(items[6], "a tensor's metadata").items.empty()) {
    throw fail("a tensor has metadata (conjugated or negated views are not read here)");
  }
  const at::Tensor& storage = expect<Storage>(items[0], "a storage").values;
  const std::int64_t offset = expect<std::int64_t>(items[1], "an offset");
  const std::vector<std::int64_t> sizes = whole_numbers(objects_, items[2], failure_);
  const std::vector<std::int64_t> strides = whole_numbers(objects_, items[3], failure_);
  if (sizes.size() != strides.size() || sizes.size() > kMostDimensions) {
    throw fail("a tensor's sizes and strides do not fit each other");
  }
  // On overflow the tensor does not fit: no storage is that large.
  std::int64_t elements = 1;
  std::int64_t last = offset;
  bool fits = offset >= 0;
  bool is_empty = false;
  for (std::size_t i = 0; i < sizes.size(); ++i) {
    std::int64_t reach = 0;
    fits = fits && sizes[i] >= 0 && strides[i] >= 0 &&
           !__builtin_mul_overflow(elements, std::max<std::int64_t>(sizes[i], 1), &elements) &&
           !__builtin_mul_overflow(std::max<std::int64_t>(sizes[i] - 1, 0), strides[i], &reach) &&
           !__builtin_add_overflow(last, reach, &last);
    is_empty = is_empty || sizes[i] == 0;
  }
  if (fits && is_empty) return at::empty(sizes, storage.options());
  if (!fits || last >= storage.numel()) throw fail("a tensor reaches beyond its storage");
  if (elements > storage.numel()) {
    throw fail("a tensor repeats elements of its storage (expanded tensors are not read here)");
  }
  return storage.as_strided(sizes, strides, offset);
}

}  // namespace

TorchValue parse_pickle(std::string_view bytes, const StorageReader& storages,
                        const std::string& source) {
  return Parser(kTorch, bytes, storages, source).run();
}

TorchValue parse_numpy_pickle(std::string_view bytes, const std::string& source) {
  return Parser(kNumpy, bytes, {}, source).run();
}

}  // namespace cdm
