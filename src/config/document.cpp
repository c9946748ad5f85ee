// SPDX-License-Identifier: MIT
#include "config/document.h"

#include <yaml-cpp/eventhandler.h>

#include <set>
#include <sstream>

#include "cdm/core/error.h"
#include "cdm/core/text.h"

namespace cdm {
namespace {

/// Notes the line where a document begins.
class DocumentStart final : public YAML::EventHandler {
 public:
  int line = 0;

 private:
  void OnDocumentStart(const YAML::Mark& mark) override { line = mark.line; }
  void OnDocumentEnd() override {}
  void OnNull(const YAML::Mark&, YAML::anchor_t) override {}
  void OnAlias(const YAML::Mark&, YAML::anchor_t) override {}
  void OnScalar(const YAML::Mark&, const std::string&, YAML::anchor_t,
                const std::string&) override {}
  void OnSequenceStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                       YAML::EmitterStyle::value) override {}
  void OnSequenceEnd() override {}
  void OnMapStart(const YAML::Mark&, const std::string&, YAML::anchor_t,
                  YAML::EmitterStyle::value) override {}
  void OnMapEnd() override {}
};

/// Throws UserError when there is more than one document. (YAML::Load reads the first and says
/// nothing of what comes after it.)
void require_one_document(const std::string& text, const PlaceOf& place) {
  std::istringstream stream(text);
  YAML::Parser parser(stream);
  DocumentStart first;
  if (!parser.HandleNextDocument(first)) return;
  DocumentStart second;
  bool goes_on = false;
  try {
    goes_on = parser.HandleNextDocument(second);
  } catch (const YAML::Exception&) {
    if (second.line == 0) throw;  // it ends before the document has begun
    goes_on = true;
  }
  if (goes_on) {
    throw UserError(concat(place(second.line),
                           ": the document has ended before this line; a configuration is one "
                           "YAML document"));
  }
}

bool is_merge_key(const YAML::Node& key) { return key.Tag() == "?" && key.Scalar() == "<<"; }

/// Collects entries of maps that may merge one another.
class Merger {
 public:
  explicit Merger(const PlaceOf& place) : place_(place) {}

  std::vector<Entry> entries_of(const YAML::Node& map, const std::string& where) {
    constexpr int kMostMaps = 1000;  // more in one section is a map that merges itself
    if (++maps_ > kMostMaps) {
      throw UserError(concat(where, ": <<: too many sections are merged here"));
    }
    std::vector<Entry> own;
    YAML::Node merged(YAML::NodeType::Undefined);
    std::string merged_where;
    for (const auto& entry : map) {
      const std::string here = place_(entry.first.Mark().line);
      if (!entry.first.IsScalar()) throw UserError(concat(here, ": a key must be a word"));
      if (!is_merge_key(entry.first)) {
        own.push_back({entry.first.Scalar(), entry.second, here});
        continue;
      }
      if (merged.IsDefined()) {
        throw UserError(concat(here, ": '<<' is given twice; first at ", merged_where,
                               "; write <<: [*first, *second]"));
      }
      merged.reset(entry.second);
      merged_where = here;
    }
    if (merged.IsDefined()) merge(merged, merged_where, own);
    return own;
  }

 private:
  /// Adds the entries of `merged`, a map or a list of maps, whose keys `entries` does not have.
  void merge(const YAML::Node& merged, const std::string& where, std::vector<Entry>& entries) {
    if (merged.IsSequence()) {
      for (const YAML::Node& map : merged) add_map(map, where, entries);
    } else {
      add_map(merged, where, entries);
    }
  }

  void add_map(const YAML::Node& map, const std::string& where, std::vector<Entry>& entries) {
    if (!map.IsMap()) {
      throw UserError(
          concat(where, ": << must be a section (*name) or a list of sections ([*a, *b])"));
    }
    std::set<std::string> taken;
    for (const Entry& entry : entries) taken.insert(entry.key);
    for (Entry& entry : entries_of(map, where)) {
      if (!taken.contains(entry.key)) entries.push_back(std::move(entry));
    }
  }

  const PlaceOf& place_;
  int maps_ = 0;
};

}  // namespace

YAML::Node parse_document(const std::string& text, const PlaceOf& place) {
  try {
    require_one_document(text, place);
    return YAML::Load(text);
  } catch (const YAML::Exception& error) {
    throw UserError(concat(place(error.mark.line), ": not YAML: ", printable(error.msg)));
  }
}

std::vector<Entry> entries_of(const YAML::Node& map, const PlaceOf& place) {
  return Merger(place).entries_of(map, place(map.Mark().line));
}

}  // namespace cdm
