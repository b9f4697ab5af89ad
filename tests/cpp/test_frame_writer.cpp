#include "frame_writer.h"

#include "errors.h"
#include "test.h"

#include <csignal>
#include <cstdio>
#include <fstream>
#include <limits>
#include <sys/resource.h>

using dpgen::Frame;
using dpgen::FrameWriter;

namespace {

const char *const path = "frames.extxyz";

Frame water_like()
{
  Frame frame;
  frame.step = 1234567890123;
  frame.time = 0.1;
  frame.temperature = 300.25;
  frame.cell = {10, 0, 0, 1.5, 9, 0, -0.5, 0.25, 8};
  frame.origin = {-1, 2, 0.5};
  frame.periodic = {true, true, false};
  frame.tags = {3, 7};
  frame.species = {"O", "H"};
  frame.positions = {1.0 / 3.0, 2.5, 1e-17, -12.25, 1e5 / 7.0, 0.5};
  frame.spread = {0.125, 1.0 / 7.0};
  frame.deviation.max_f = 1.0 / 7.0;
  frame.fix_id = "dp";
  frame.model_hashes = {"aa", "bb"};
  return frame;
}

std::string content()
{
  std::ifstream file(path);
  return {std::istreambuf_iterator<char>(file), {}};
}

}    // namespace

TEST(frame_writer, "numbers read back exactly, positions count from the corner of the cell")
{
  std::istringstream text(dpgen::to_extxyz(water_like()));
  std::string line;
  std::getline(text, line);
  CHECK(line == "2");
  std::getline(text, line);
  for (const char *part :
       {"Lattice=\"10 0 0 1.5 9 0 -0.5 0.25 8\"", "pbc=\"T T F\"", "step=1234567890123", "class=candidate", "fix_id=dp",
        "models=\"aa,bb\"", "Properties=species:S:1:pos:R:3:id:I:1:force_spread:R:1"})
    CHECK(line.find(part) != std::string::npos);
  const std::size_t at = line.find("max_devi_f=");
  CHECK(std::stod(line.substr(at + 11)) == 1.0 / 7.0);
  std::string species;
  double x, y, z, spread;
  int tag;
  CHECK(bool(text >> species >> x >> y >> z >> tag >> spread));
  CHECK(species == "O" && x == 1.0 / 3.0 + 1.0 && y == 0.5 && z == 1e-17 - 0.5 && tag == 3 && spread == 0.125);
  CHECK(bool(text >> species >> x >> y >> z >> tag >> spread));
  CHECK(species == "H" && y == 1e5 / 7.0 - 2.0 && tag == 7 && spread == 1.0 / 7.0);
}

TEST(frame_writer, "a new file is empty, an old one is emptied or continued")
{
  const std::string one = dpgen::to_extxyz(water_like());
  {
    FrameWriter writer(path, false);
    writer.write(water_like());
    writer.write(water_like());
    CHECK(content() == one + one);
  }
  FrameWriter(path, true).write(water_like());
  CHECK(content() == one + one + one);
  FrameWriter(path, false);
  CHECK(content().empty());
  std::remove(path);
}

TEST(frame_writer, "on a full disk the file ends with its last complete frame")
{
  const std::string one = dpgen::to_extxyz(water_like());
  FrameWriter writer(path, false);
  writer.write(water_like());
  // A limit in the middle of the second frame: the system writes a part and refuses the rest.
  rlimit before;
  getrlimit(RLIMIT_FSIZE, &before);
  std::signal(SIGXFSZ, SIG_IGN);
  const rlimit small{one.size() + one.size() / 2, before.rlim_max};
  setrlimit(RLIMIT_FSIZE, &small);
  std::string message;
  try {
    writer.write(water_like());
  } catch (const dpgen::FileError &error) {
    message = error.what();
  }
  setrlimit(RLIMIT_FSIZE, &before);
  CHECK(message.find(path) != std::string::npos && message.find("1234567890123") != std::string::npos);
  CHECK(message.find("last complete frame") != std::string::npos);
  CHECK(content() == one);
  writer.write(water_like());    // there is room again
  CHECK(content() == one + one);
  std::remove(path);
}

TEST(frame_writer, "a device without room is said")
{
  if (!std::ifstream("/dev/full")) return;
  FrameWriter writer("/dev/full", true);
  CHECK_THROWS(writer.write(water_like()), dpgen::FileError, "No space left");
}

TEST(frame_writer, "a folder that is not there is named")
{
  CHECK_THROWS(FrameWriter("no/such/folder.extxyz", false), dpgen::FileError, "no/such/folder.extxyz");
}
