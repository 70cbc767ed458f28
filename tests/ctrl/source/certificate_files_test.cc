// Files of certificates: what may be read, and that a change is noticed however it is made.
// In: a scratch directory. Out: texts, reasons, marks.
// Owns its directory.
// Kubernetes' projected volumes: files are links into ..data, a link that is swapped.
#include "ctrl/source/certificate_files.h"

#include <gtest/gtest.h>

#include <filesystem>
#include <fstream>

namespace sluice::source {
namespace {

namespace fs = std::filesystem;

class CertificateFiles : public testing::Test {
 protected:
    void SetUp() override {
        char name[] = "/tmp/sluice-certificates-XXXXXX";
        root_ = mkdtemp(name);
        mesh_ = root_ + "/mesh";
        fs::create_directory(mesh_);
    }
    void TearDown() override { fs::remove_all(root_); }
    void write(const std::string& path, const std::string& text) { std::ofstream(path) << text; }
    CertificateText read(const std::string& path) { return read_certificate_files({path}, mesh_).at(path); }

    std::string root_, mesh_;
};

TEST_F(CertificateFiles, AreReadByAbsolutePathAndWithinTheMeshDirectory) {
    write(root_ + "/a.crt", "outside");
    write(mesh_ + "/b.crt", "inside");
    EXPECT_EQ(read(root_ + "/a.crt").text, "outside");
    EXPECT_EQ(read("b.crt").text, "inside");
}

TEST_F(CertificateFiles, ARelativePathStaysWithin) {
    write(root_ + "/a.crt", "outside");
    EXPECT_EQ(read("../a.crt").error, "a relative path must not leave the mesh directory");
    fs::create_symlink(root_ + "/a.crt", mesh_ + "/link.crt");
    EXPECT_EQ(read("link.crt").error, "it leads out of the mesh directory");
    EXPECT_EQ(read("link.crt").text, "");
}

TEST_F(CertificateFiles, WhatIsNoReadableFileIsSaidSo) {
    EXPECT_EQ(read("none.crt").error, "No such file or directory");
    EXPECT_EQ(read(mesh_).error, "not a regular file");
    write(mesh_ + "/empty.crt", "");
    EXPECT_EQ(read("empty.crt").error, "it is empty");
    write(mesh_ + "/large.crt", std::string((1 << 20) + 1, 'x'));
    EXPECT_FALSE(read("large.crt").error.empty());
    EXPECT_TRUE(read("large.crt").text.empty());
}

TEST_F(CertificateFiles, AChangeIsSeenHoweverItIsMade) {
    fs::create_directories(mesh_ + "/..1");
    fs::create_directories(mesh_ + "/..2");
    write(mesh_ + "/..1/tls.crt", "one");
    write(mesh_ + "/..2/tls.crt", "two");
    fs::create_directory_symlink("..1", mesh_ + "/..data");
    fs::create_symlink("..data/tls.crt", mesh_ + "/tls.crt");
    EXPECT_EQ(read("tls.crt").text, "one") << "links within the directory are followed";
    const std::string before = mark_of({"tls.crt"}, mesh_);
    EXPECT_EQ(mark_of({"tls.crt"}, mesh_), before);
    fs::create_directory_symlink("..2", mesh_ + "/..next");
    fs::rename(mesh_ + "/..next", mesh_ + "/..data");
    EXPECT_NE(mark_of({"tls.crt"}, mesh_), before);
    EXPECT_EQ(read("tls.crt").text, "two");

    write(mesh_ + "/b.crt", "one");
    const std::string first = mark_of({"b.crt"}, mesh_);
    write(mesh_ + "/b.new", "two");
    fs::rename(mesh_ + "/b.new", mesh_ + "/b.crt");
    const std::string second = mark_of({"b.crt"}, mesh_);
    EXPECT_NE(second, first);
    fs::remove(mesh_ + "/b.crt");
    EXPECT_NE(mark_of({"b.crt"}, mesh_), second);
}

}  // namespace
}  // namespace sluice::source
