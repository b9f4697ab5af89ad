#include "sha256.h"

#include "errors.h"
#include "test.h"

#include <cstdio>
#include <fstream>

// The vectors of FIPS 180-4 (NIST's examples), around and beyond the 64-byte block.
TEST(sha256, "known vectors")
{
  CHECK(dpgen::sha256("") == "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  CHECK(dpgen::sha256("abc") == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
  CHECK(dpgen::sha256("abcdbcdecdefdefgefghfghighijhijkijkljklmklmnlmnomnopnopq") ==
        "248d6a61d20638b8e5c026930c3e6039a33ce45964ff2167f6ecedd419db06c1");
  CHECK(dpgen::sha256(std::string(1000000, 'a')) == "cdc76e5c9914fb9281a1c7e284d73e67f1809a48a497200e046d39ccc7112cd0");
}

TEST(sha256, "a file is its bytes, also those that are not text")
{
  const std::string content("\0\r\n\xff"
                            "abc",
                            7);
  std::ofstream("sha256.bin", std::ios::binary) << content;
  CHECK(dpgen::sha256_of_file("sha256.bin") == dpgen::sha256(content));
  std::remove("sha256.bin");
}

TEST(sha256, "a file that is not there is named")
{
  CHECK_THROWS(dpgen::sha256_of_file("no/such.pb"), dpgen::FileError, "no/such.pb");
}
