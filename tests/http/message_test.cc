// The header list, list syntax, header ids and hop-by-hop fields.
#include "http/message.h"

#include <gtest/gtest.h>

#include <string>

#include "http/header_table.h"

namespace sluice::http {
namespace {

class MessageTest : public testing::Test {
 protected:
    ArenaChunkPool chunks{16};
    Arena arena{chunks};
    HeaderList list{arena};
    std::string all() const {
        std::string text;
        for (const Header& h : list.items()) text.append(h.name).append("=").append(h.value).append(";");
        return text;
    }
};

TEST_F(MessageTest, EveryNameHasItsId) {
    for (unsigned i = 1; i < static_cast<unsigned>(HeaderId::kCount); i++) {
        const auto id = static_cast<HeaderId>(i);
        std::string name(name_of(id));
        ASSERT_GE(name.size(), 2u);
        EXPECT_EQ(header_id(name), id) << name;
        std::string upper = name;
        for (char& c : upper) c = static_cast<char>(std::toupper(c));
        EXPECT_EQ(header_id(upper), id);
        char padded[64] = {};
        upper.copy(padded, upper.size());
        EXPECT_EQ(header_table::header_id_of_padded_token(padded, static_cast<uint32_t>(upper.size())), id);
        for (size_t at = 0; at < name.size(); at++)
            for (int c = 0; c < 256; c++) {
                std::string other = name;
                other[at] = static_cast<char>(c);
                if (iequals(other, name)) continue;
                EXPECT_NE(header_id(other), id) << other;
            }
        EXPECT_NE(header_id(name + "x"), id);
        EXPECT_NE(header_id(name.substr(1)), id);
    }
    EXPECT_EQ(header_id(""), HeaderId::kOther);
    EXPECT_EQ(header_id("x"), HeaderId::kOther);
    EXPECT_EQ(header_id(std::string(300, 'x')), HeaderId::kOther);
}

TEST_F(MessageTest, AddsSetsRemovesInOrder) {
    ASSERT_TRUE(list.add("X-A", "1"));
    ASSERT_TRUE(list.add(HeaderId::kVia, "2"));
    ASSERT_TRUE(list.add("x-a", "3"));
    ASSERT_TRUE(list.add("X-B", "4"));
    EXPECT_EQ(list.find("x-A")->value, "1");
    EXPECT_EQ(list.find("VIA")->value, "2");
    EXPECT_EQ(list.find(HeaderId::kVia)->value, "2");
    EXPECT_EQ(list.find("x-c"), nullptr);
    ASSERT_TRUE(list.set("x-a", "5"));
    EXPECT_EQ(all(), "X-A=5;via=2;X-B=4;");
    ASSERT_TRUE(list.set("x-c", "6"));
    ASSERT_TRUE(list.set(HeaderId::kVia, "7"));
    list.remove("x-b");
    EXPECT_EQ(all(), "X-A=5;via=7;x-c=6;");
    list.remove(HeaderId::kVia);
    EXPECT_EQ(all(), "X-A=5;x-c=6;");
}

TEST_F(MessageTest, GrowsAndStops) {
    for (int i = 0; i < 200; i++) ASSERT_TRUE(list.add("n", arena.copy(std::to_string(i))));
    for (int i = 0; i < 200; i++) EXPECT_EQ(list.items()[static_cast<size_t>(i)].value, std::to_string(i));
    ArenaChunkPool none(0, 0);
    Arena empty(none);
    HeaderList full(empty);
    EXPECT_FALSE(full.add("a", "b"));
    EXPECT_FALSE(full.set("a", "b"));
}

TEST_F(MessageTest, Joins) {
    EXPECT_FALSE(list.joined("a", arena).has_value());
    ASSERT_TRUE(list.add("a", "1") && list.add("b", "x") && list.add("A", "") && list.add("a", "3"));
    ASSERT_TRUE(list.add("cookie", "k=v") && list.add("Cookie", "l=w"));
    EXPECT_EQ(list.joined("a", arena), "1,,3");
    EXPECT_EQ(list.joined("B", arena), "x");
    EXPECT_EQ(list.joined("cookie", arena), "k=v; l=w");
    ArenaChunkPool none(0, 0);
    Arena empty(none);
    EXPECT_EQ(list.joined("b", empty), "x");
    ASSERT_TRUE(list.joined("a", empty).has_value()) << "not absent";
    EXPECT_EQ(list.joined("a", empty)->data(), nullptr);
}

TEST_F(MessageTest, ReadsLists) {
    std::string_view text = " a , ,\tb\t,c;d=e,,", element;
    std::string got;
    while (next_list_element(text, element)) got.append(element).append("|");
    EXPECT_EQ(got, "a|b|c;d=e|");
    EXPECT_TRUE(list_has_token("x, Close", "close"));
    EXPECT_FALSE(list_has_token("xclose, closed", "close"));
    EXPECT_FALSE(list_has_token("", "close"));
}

TEST_F(MessageTest, StripsHopByHop) {
    for (auto [name, value] : {std::pair{"Connection", "close, X-Hop , Authorization"}, {"Keep-Alive", "5"}, {"x-hop", "1"}, {"X-Keep", "2"},
                               {"Authorization", "Basic"}, {"TE", "gzip, trailers;q=1, trailers"}, {"Transfer-Encoding", "chunked"},
                               {"Upgrade", "h2c"}, {"Proxy-Connection", "x"}, {"connection", "x-forwarded-for, content-length, X-Second"},
                               {"X-Forwarded-For", "10.0.0.1"}, {"Content-Length", "3"}, {"X-SECOND", "4"}, {"Trailer", "x-t"}})
        ASSERT_TRUE(list.add(name, value));
    strip_hop_by_hop(list);
    EXPECT_EQ(all(), "X-Keep=2;Authorization=Basic;TE=trailers;X-Forwarded-For=10.0.0.1;Content-Length=3;Trailer=x-t;");
    list.truncate(0);
    ASSERT_TRUE(list.add("te", "gzip"));
    strip_hop_by_hop(list);
    EXPECT_EQ(list.size(), 0u);
}

TEST_F(MessageTest, KnowsMethodsAndReasons) {
    for (unsigned i = 0; i < static_cast<unsigned>(Method::kOther); i++) {
        const auto method = static_cast<Method>(i);
        EXPECT_EQ(parse_method(to_string(method)), method);
    }
    for (const char* other : {"get", "", "GETT", "POS", "PROPFIND", "OPTIONs"}) EXPECT_EQ(parse_method(other), Method::kOther) << other;
    EXPECT_EQ(reason_phrase(431), "Request Header Fields Too Large");
    EXPECT_EQ(reason_phrase(299), "Unknown");
}

}  // namespace
}  // namespace sluice::http
