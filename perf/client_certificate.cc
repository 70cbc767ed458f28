// Gives a client that has no option for it a certificate, and one cipher suite: preloaded into wrk, which is not changed otherwise.
// In: SLUICE_CLIENT_CERTIFICATE (PEM: leaf and key; empty: none), SLUICE_CLIENT_SUITE. Out: every SSL_CTX of the process has them.
// Owns nothing. OpenSSL 3, SSL_CTX_new(3); ld.so(8), LD_PRELOAD.
#include <dlfcn.h>
#include <openssl/ssl.h>

#include <cstdio>
#include <cstdlib>

extern "C" __attribute__((visibility("default"))) SSL_CTX* SSL_CTX_new(const SSL_METHOD* method) {
    const auto next = reinterpret_cast<SSL_CTX* (*)(const SSL_METHOD*)>(dlsym(RTLD_NEXT, "SSL_CTX_new"));
    SSL_CTX* const context = next ? next(method) : nullptr;
    if (!context) return nullptr;
    const char* const suite = std::getenv("SLUICE_CLIENT_SUITE");
    const char* const file = std::getenv("SLUICE_CLIENT_CERTIFICATE");
    const bool good = (!suite || SSL_CTX_set_ciphersuites(context, suite) == 1) &&
                      (!file || !*file ||
                       (SSL_CTX_use_certificate_chain_file(context, file) == 1 && SSL_CTX_use_PrivateKey_file(context, file, SSL_FILETYPE_PEM) == 1));
    if (good) return context;
    std::fprintf(stderr, "client_certificate: suite `%s` or certificate `%s` does not load\n", suite ? suite : "", file ? file : "");
    std::exit(2);
}
