// A TLS client and server by Go's crypto/tls, for tests/system/test_tls_peers.py.
// In: flags. Out: JSON on standard output: what was negotiated with whom, or the error. Standard library alone, Go 1.19.
package main

import (
	"crypto/sha256"
	"crypto/tls"
	"crypto/x509"
	"encoding/json"
	"flag"
	"fmt"
	"io"
	"net"
	"net/http"
	"os"
	"strings"
)

type result struct {
	Version, Suite, ALPN, Peer, SNI, Body, Error string
	Status                                       int
	Resumed                                      bool
}

func describe(r *result, state *tls.ConnectionState) {
	r.Version = map[uint16]string{tls.VersionTLS12: "1.2", tls.VersionTLS13: "1.3"}[state.Version]
	r.Suite, r.ALPN, r.Resumed, r.SNI = tls.CipherSuiteName(state.CipherSuite), state.NegotiatedProtocol, state.DidResume, state.ServerName
	if len(state.PeerCertificates) > 0 {
		for _, uri := range state.PeerCertificates[0].URIs {
			r.Peer = uri.String()
		}
		if r.Peer == "" {
			r.Peer = state.PeerCertificates[0].Subject.CommonName
		}
	}
}

func version(text string) uint16 {
	return map[string]uint16{"1.0": tls.VersionTLS10, "1.1": tls.VersionTLS11, "1.2": tls.VersionTLS12, "1.3": tls.VersionTLS13}[text]
}

func suites(names string) (ids []uint16) {
	for _, suite := range tls.CipherSuites() {
		for _, name := range strings.Split(names, ",") {
			if suite.Name == name {
				ids = append(ids, suite.ID)
			}
		}
	}
	return ids
}

func roots(path string) *x509.CertPool {
	pem, err := os.ReadFile(path)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	pool := x509.NewCertPool()
	pool.AppendCertsFromPEM(pem)
	return pool
}

// One request on a connection of its own, so that the next one may resume its session.
func ask(config *tls.Config, address, host, path string, body []byte) (r result) {
	// http.Transport would hide the handshake's error behind its own words.
	raw, err := net.Dial("tcp", address)
	if err != nil {
		return result{Error: err.Error()}
	}
	connection := tls.Client(raw, config)
	defer connection.Close()
	transport := &http.Transport{DialTLS: func(string, string) (net.Conn, error) { return connection, nil }, DisableKeepAlives: true}
	method := "GET"
	if len(body) > 0 {
		method = "POST"
	}
	request, _ := http.NewRequest(method, "https://"+host+path, strings.NewReader(string(body)))
	if err = connection.Handshake(); err != nil {
		return result{Error: err.Error()}
	}
	response, err := transport.RoundTrip(request)
	state := connection.ConnectionState()
	describe(&r, &state)
	if err != nil {
		r.Error = err.Error()
		return r
	}
	defer response.Body.Close()
	data, err := io.ReadAll(response.Body)
	if err != nil {
		r.Error = err.Error()
	}
	r.Status, r.Body = response.StatusCode, fmt.Sprintf("%x", sha256.Sum256(data))
	return r
}

func main() {
	serve := flag.Bool("serve", false, "a server: every answer says what was negotiated, or echoes a body")
	address := flag.String("address", "", "to connect to, or to listen on")
	host := flag.String("host", "shop.example", "the name asked for")
	ca := flag.String("ca", "", "whom to trust")
	anyName := flag.Bool("any-name", false, "the server's chain is checked, its name is not")
	certificate := flag.String("cert", "", "own certificate")
	key := flag.String("key", "", "its key")
	lowest := flag.String("min", "1.2", "version")
	highest := flag.String("max", "1.3", "version")
	names := flag.String("suites", "", "of TLS 1.2, by Go's names")
	count := flag.Int("count", 1, "requests, each on its own connection")
	size := flag.Int("size", 0, "of a body that is sent")
	path := flag.String("path", "/go", "of the request")
	flag.Parse()

	config := &tls.Config{MinVersion: version(*lowest), MaxVersion: version(*highest), NextProtos: []string{"http/1.1"}, ServerName: *host}
	if *names != "" {
		config.CipherSuites = suites(*names)
	}
	if *certificate != "" {
		pair, err := tls.LoadX509KeyPair(*certificate, *key)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		config.Certificates = []tls.Certificate{pair}
	}
	out := json.NewEncoder(os.Stdout)
	if *serve {
		if *ca != "" {
			config.ClientAuth, config.ClientCAs = tls.RequireAndVerifyClientCert, roots(*ca)
		}
		listener, err := tls.Listen("tcp", *address, config)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		http.Serve(listener, http.HandlerFunc(func(w http.ResponseWriter, request *http.Request) {
			body, _ := io.ReadAll(request.Body)
			if len(body) > 0 {
				w.Write(body)
				return
			}
			var r result
			describe(&r, request.TLS)
			json.NewEncoder(w).Encode(r)
		}))
		return
	}
	config.RootCAs = roots(*ca)
	if *anyName {
		pool := config.RootCAs
		config.InsecureSkipVerify = true
		config.VerifyConnection = func(state tls.ConnectionState) error {
			_, err := state.PeerCertificates[0].Verify(x509.VerifyOptions{Roots: pool})
			return err
		}
	}
	config.ClientSessionCache = tls.NewLRUClientSessionCache(8)
	body := make([]byte, *size)
	for i := range body {
		body[i] = byte(i * 7)
	}
	for i := 0; i < *count; i++ {
		out.Encode(ask(config, *address, *host, *path, body))
	}
}
