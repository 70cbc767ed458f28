// Starting OpenSSL (see openssl_init.h).
#include "tls/openssl_init.h"

#include <openssl/rand.h>
#include <openssl/ssl.h>

namespace sluice::tls {

void initialise_openssl() {
    static const bool done = [] {
        OPENSSL_init_ssl(OPENSSL_INIT_NO_LOAD_CONFIG | OPENSSL_INIT_LOAD_SSL_STRINGS | OPENSSL_INIT_LOAD_CRYPTO_STRINGS |
                             OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS, nullptr);
        unsigned char byte;
        return RAND_bytes(&byte, 1) == 1;   // the root generator seeds itself now
    }();
    (void)done;
}

}  // namespace sluice::tls
