// top: looks each interval and shows what happened in it. On a terminal a full screen by plain ANSI sequences (ECMA-48),
// redrawn at once when its size changes, until q; elsewhere one line, or one JSON object, an interval.
#include <fmt/format.h>
#include <poll.h>
#include <sys/ioctl.h>
#include <termios.h>
#include <unistd.h>

#include <csignal>
#include <cstring>
#include <iostream>

#include "ctrl/sluicectl/commands.h"
#include "ctrl/sluicectl/text.h"
#include "ctrl/sluicectl/top_view.h"

namespace sluice::ctl {

namespace {

constexpr const char *kEnter = "\x1b[?1049h\x1b[?25l", *kLeave = "\x1b[?25h\x1b[?1049l", *kHome = "\x1b[H", *kEndOfLine = "\x1b[K", *kBelow = "\x1b[J";

volatile std::sig_atomic_t ended = 0;

/// The terminal as a screen: other buffer, no cursor, keys as they are pressed. Put back however this ends.
class Screen {
 public:
    explicit Screen(std::ostream& out) : out_(out) {
        ended = 0;
        tcgetattr(STDIN_FILENO, &before_);
        termios raw = before_;
        raw.c_lflag &= ~static_cast<tcflag_t>(ICANON | ECHO | ISIG);
        raw.c_cc[VMIN] = 0, raw.c_cc[VTIME] = 0;
        tcsetattr(STDIN_FILENO, TCSANOW, &raw);
        struct sigaction action {};
        action.sa_handler = [](int) {};   // a change of size ends the wait for a key
        sigaction(SIGWINCH, &action, nullptr);
        action.sa_handler = [](int) { ended = 1; };
        for (const int signal : {SIGTERM, SIGHUP, SIGINT}) sigaction(signal, &action, nullptr);
        out_ << kEnter << std::flush;
    }
    ~Screen() {
        out_ << kLeave << std::flush;
        tcsetattr(STDIN_FILENO, TCSANOW, &before_);
        for (const int signal : {SIGTERM, SIGHUP, SIGINT, SIGWINCH}) std::signal(signal, SIG_DFL);
    }

    void draw(const Json& view) {
        winsize size{};
        ioctl(STDOUT_FILENO, TIOCGWINSZ, &size);
        const size_t columns = size.ws_col ? size.ws_col : 80, rows = size.ws_row ? size.ws_row : 24;
        std::string text = kHome;
        for (const auto& line : top_screen(view, columns, rows - 1)) text += line + kEndOfLine + "\n";
        out_ << text << kBelow << "q quits" << std::flush;
    }

    /// Until `until`, redrawing when the size changes. False: the user has seen enough.
    bool wait(const Context& c, Instant until, const Json& view) {
        while (!ended) {
            const Instant now = c.now();
            if (now >= until) return true;
            pollfd keys{STDIN_FILENO, POLLIN, 0};
            const int n = poll(&keys, 1, static_cast<int>((until - now).us / 1000) + 1);
            if (n < 0 && errno == EINTR) draw(view);
            char key = 0;
            if (n > 0 && read(STDIN_FILENO, &key, 1) <= 0) return false;
            constexpr char kControlC = 3;
            if (key == 'q' || key == 'Q' || key == kControlC) return false;
        }
        return false;
    }

 private:
    std::ostream& out_;
    termios before_{};
};

int on_screen(const Context& c, Duration interval, uint64_t count) {
    auto before = c.client.get("/v1/top");
    if (!before) return fail(c, before.error());
    Result<Json, Failure> after = *before;
    {
        Screen screen(c.out);
        Json view = top_view(*before, *before);
        screen.draw(view);
        for (uint64_t n = 0; count == 0 || n < count; n++) {
            if (!screen.wait(c, c.now() + interval, view)) return 0;
            after = c.client.get("/v1/top");
            if (!after) break;
            view = top_view(*before, *after);
            screen.draw(view);
            before = after;
        }
    }
    return after ? 0 : fail(c, after.error());
}

}  // namespace

int top(const Context& c, Duration interval, uint64_t count) {
    const bool terminal = c.form != Form::kJson && c.form != Form::kYaml && c.out.rdbuf() == std::cout.rdbuf() && isatty(STDOUT_FILENO) && isatty(STDIN_FILENO);
    if (terminal) return on_screen(c, interval, count);
    auto before = c.client.get("/v1/top");
    if (!before) return fail(c, before.error());
    for (uint64_t n = 0; (count == 0 || n < count) && c.out; n++) {
        c.sleep(interval);
        auto after = c.client.get("/v1/top");
        if (!after) return fail(c, after.error());
        const Json view = top_view(*before, *after);
        if (c.form == Form::kJson) c.out << view.dump(-1, ' ', false, Json::error_handler_t::replace) << "\n" << std::flush;
        else if (c.form == Form::kYaml) c.out << "---\n" << to_yaml(view) << std::flush;
        else c.out << top_line(view) << "\n" << std::flush;
        before = std::move(after);
    }
    return 0;
}

}  // namespace sluice::ctl
