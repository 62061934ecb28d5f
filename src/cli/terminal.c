/* The terminal: no echo, no lines, another screen, no cursor. Signals come through a descriptor, so that every way out
 * of the program gives the terminal back. */
#include "terminal.h"

#include <errno.h>
#include <poll.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/signalfd.h>
#include <termios.h>
#include <unistd.h>

#include "base/slice.h"

static struct termios before;
static sigset_t signals, signals_before;
static int signal_fd = -1;

static void say(struct slice text) {
    while (text.n > 0) {
        ssize_t n = write(STDOUT_FILENO, text.p, text.n);
        if (n <= 0 && errno != EINTR && errno != EAGAIN) return;
        if (n > 0) text.p += n, text.n -= (size_t)n;
    }
}

static void take(void) {
    struct termios raw = before;
    raw.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
    raw.c_cc[VMIN] = 1;
    raw.c_cc[VTIME] = 0;
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &raw);
    say(SLICE("\x1b[?1049h\x1b[?25l\x1b[2J"));
}

static void give_back(void) {
    say(SLICE("\x1b[0m\x1b[?25h\x1b[?1049l"));
    tcsetattr(STDIN_FILENO, TCSAFLUSH, &before);
}

bool terminal_open(void) {
    static const int wanted[] = {SIGINT, SIGTERM, SIGHUP, SIGWINCH, SIGTSTP};
    if (!isatty(STDIN_FILENO) || !isatty(STDOUT_FILENO) || tcgetattr(STDIN_FILENO, &before) != 0) return false;
    sigemptyset(&signals);
    for (size_t i = 0; i < sizeof wanted / sizeof *wanted; i++) sigaddset(&signals, wanted[i]);
    sigprocmask(SIG_BLOCK, &signals, &signals_before);
    signal_fd = signalfd(-1, &signals, SFD_NONBLOCK | SFD_CLOEXEC);
    take();
    return signal_fd >= 0;
}

void terminal_close(void) {
    give_back();
    if (signal_fd >= 0) close(signal_fd);
    signal_fd = -1;
    sigprocmask(SIG_SETMASK, &signals_before, NULL);
}

void terminal_size(unsigned *width, unsigned *height) {
    struct winsize size = {0};
    bool known = ioctl(STDOUT_FILENO, TIOCGWINSZ, &size) == 0 && size.ws_col > 0 && size.ws_row > 0;
    *width = known ? size.ws_col : 80;
    *height = known ? size.ws_row : 24;
}

static void suspend(void) {
    give_back();
    sigprocmask(SIG_SETMASK, &signals_before, NULL);
    raise(SIGSTOP); /* goes on here when the shell says so */
    sigprocmask(SIG_BLOCK, &signals, NULL);
    take();
}

static enum terminal_event signal_read(void) {
    struct signalfd_siginfo info;
    if (read(signal_fd, &info, sizeof info) != (ssize_t)sizeof info) return TERMINAL_TIMEOUT;
    if (info.ssi_signo == SIGTSTP) suspend();
    return info.ssi_signo == SIGTSTP || info.ssi_signo == SIGWINCH ? TERMINAL_RESIZED : TERMINAL_QUIT;
}

enum terminal_event terminal_wait(int timeout_ms, char *key) {
    struct pollfd p[2] = {{.fd = STDIN_FILENO, .events = POLLIN}, {.fd = signal_fd, .events = POLLIN}};
    int ready = poll(p, 2, timeout_ms);
    if (ready <= 0) return TERMINAL_TIMEOUT;
    if (p[1].revents != 0) return signal_read();
    return read(STDIN_FILENO, key, 1) == 1 ? TERMINAL_KEY : TERMINAL_QUIT;
}
