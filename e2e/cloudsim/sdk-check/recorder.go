// The recorder stands between the clients and cloudsim: it passes every request on as it came, and keeps it.
package main

import (
	"bytes"
	"encoding/json"
	"io"
	"net"
	"net/http"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"sync"
)

// vector is a request as a client signed it.
type vector struct {
	Client string `json:"client"`
	// v3 (ACS3-HMAC-SHA256 in headers) or rpc (HMAC-SHA1 in the query).
	Family  string            `json:"family"`
	Action  string            `json:"action"`
	Version string            `json:"version"`
	Method  string            `json:"method"`
	Path    string            `json:"path"`
	Query   string            `json:"query"`
	Headers map[string]string `json:"headers"`
	Body    string            `json:"body"`

	AccessKeyID     string `json:"accessKeyId"`
	AccessKeySecret string `json:"accessKeySecret"`
	SecurityToken   string `json:"securityToken,omitempty"`
	// What the client sent, and the simulator took.
	Signature string `json:"signature"`
}

type recorder struct {
	address string
	target  string
	server  *http.Server

	mu      sync.Mutex
	client  string
	calls   int
	secrets map[string]string
	vectors map[string][]vector
}

func startRecorder(target string) (*recorder, error) {
	listener, err := net.Listen("tcp", "127.0.0.1:0")
	if err != nil {
		return nil, err
	}
	r := &recorder{
		address: listener.Addr().String(),
		target:  target,
		secrets: map[string]string{lab.id: lab.secret},
		vectors: map[string][]vector{},
	}
	r.server = &http.Server{Handler: r}
	go func() { _ = r.server.Serve(listener) }()
	return r, nil
}

func (r *recorder) stop() { _ = r.server.Close() }

// begin says which client the next requests are from.
func (r *recorder) begin(client string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.client, r.calls = client, 0
}

func (r *recorder) count() int {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.calls
}

func (r *recorder) ServeHTTP(out http.ResponseWriter, in *http.Request) {
	body, err := io.ReadAll(in.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	passed := &http.Request{
		Method:        in.Method,
		URL:           &url.URL{Scheme: "http", Host: r.target, Path: in.URL.Path, RawPath: in.URL.RawPath, RawQuery: in.URL.RawQuery},
		Host:          in.Host,
		Header:        in.Header,
		Body:          io.NopCloser(bytes.NewReader(body)),
		ContentLength: int64(len(body)),
	}
	answer, err := (&http.Transport{DisableCompression: true, DisableKeepAlives: true}).RoundTrip(passed)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if err != nil {
		http.Error(out, err.Error(), http.StatusBadGateway)
		return
	}
	r.keep(in, body, answer.StatusCode, text)
	for name, values := range answer.Header {
		out.Header()[name] = values
	}
	out.WriteHeader(answer.StatusCode)
	_, _ = out.Write(text)
}

// keep remembers a request that was taken, and the secrets of the credentials it asked for. One of each
// kind is enough: an action, signed with a permanent key or with that of a role.
func (r *recorder) keep(in *http.Request, body []byte, status int, answer []byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.calls++
	var minted struct {
		Credentials struct{ AccessKeyId, AccessKeySecret string }
	}
	if json.Unmarshal(answer, &minted) == nil && minted.Credentials.AccessKeyId != "" {
		r.secrets[minted.Credentials.AccessKeyId] = minted.Credentials.AccessKeySecret
	}
	v := vector{
		Client:  r.client,
		Method:  in.Method,
		Path:    in.URL.EscapedPath(),
		Query:   in.URL.RawQuery,
		Headers: map[string]string{"host": in.Host},
		Body:    string(body),
	}
	for name, values := range in.Header {
		v.Headers[strings.ToLower(name)] = strings.Join(values, ",")
	}
	form := in.URL.Query()
	if strings.HasPrefix(v.Headers["content-type"], "application/x-www-form-urlencoded") {
		if more, err := url.ParseQuery(v.Body); err == nil {
			for name, values := range more {
				form[name] = values
			}
		}
	}
	if authorization := v.Headers["authorization"]; authorization != "" {
		v.Family, v.Action, v.Version = "v3", v.Headers["x-acs-action"], v.Headers["x-acs-version"]
		v.AccessKeyID = between(authorization, "Credential=", ",")
		v.Signature = between(authorization, "Signature=", ",")
		v.SecurityToken = v.Headers["x-acs-security-token"]
	} else {
		v.Family, v.Action, v.Version = "rpc", form.Get("Action"), form.Get("Version")
		v.AccessKeyID, v.Signature = form.Get("AccessKeyId"), form.Get("Signature")
		v.SecurityToken = form.Get("SecurityToken")
	}
	v.AccessKeySecret = r.secrets[v.AccessKeyID]
	if status != http.StatusOK || v.AccessKeySecret == "" {
		return
	}
	for _, other := range r.vectors[r.client] {
		if other.Action == v.Action && other.AccessKeyID == v.AccessKeyID {
			return
		}
	}
	r.vectors[r.client] = append(r.vectors[r.client], v)
}

func between(text, from, to string) string {
	_, rest, found := strings.Cut(text, from)
	if !found {
		return ""
	}
	value, _, _ := strings.Cut(rest, to)
	return value
}

// write stores the vectors, one file per client.
func (r *recorder) write(folder string) error {
	r.mu.Lock()
	defer r.mu.Unlock()
	for client, vectors := range r.vectors {
		var text bytes.Buffer
		encoder := json.NewEncoder(&text)
		encoder.SetEscapeHTML(false)
		encoder.SetIndent("", "  ")
		if err := encoder.Encode(vectors); err != nil {
			return err
		}
		if err := os.WriteFile(filepath.Join(folder, client+".json"), text.Bytes(), 0o644); err != nil {
			return err
		}
	}
	return nil
}
