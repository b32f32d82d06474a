package supervisor

import (
	"bytes"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"strconv"
	"strings"

	"github.com/kvmlab/kvmlab/internal/lab"
)

// ErrBusy is returned when so many read the supervisor's streams that it takes no more.
var ErrBusy = errors.New("too many readers")

// Client talks to one lab's supervisor over its control socket.
type Client struct {
	http http.Client
}

// NewClient returns a client of the control socket at path. Nothing is opened until the first call.
func NewClient(path string) *Client {
	var dialer net.Dialer
	return &Client{http: http.Client{Transport: &http.Transport{
		DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
			return dialer.DialContext(ctx, "unix", path)
		},
	}}}
}

// Close drops idle connections.
func (c *Client) Close() { c.http.CloseIdleConnections() }

func (c *Client) get(ctx context.Context, path string, query url.Values) (io.ReadCloser, error) {
	target := url.URL{Scheme: "http", Host: "supervisor", Path: path, RawQuery: query.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodGet, target.String(), nil)
	if err != nil {
		return nil, fmt.Errorf("ask supervisor: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return nil, fmt.Errorf("ask supervisor: %w", err)
	}
	if resp.StatusCode == http.StatusServiceUnavailable {
		return nil, errors.Join(fmt.Errorf("ask supervisor for %s: %w", path, ErrBusy), resp.Body.Close())
	}
	if resp.StatusCode != http.StatusOK {
		return nil, errors.Join(fmt.Errorf("ask supervisor for %s: %s", path, resp.Status), resp.Body.Close())
	}
	return resp.Body, nil
}

// Status asks the supervisor how it is.
func (c *Client) Status(ctx context.Context) (st Status, err error) {
	body, err := c.get(ctx, "/v1/status", nil)
	if err != nil {
		return Status{}, err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	if err := json.NewDecoder(body).Decode(&st); err != nil {
		return Status{}, fmt.Errorf("read supervisor status: %w", err)
	}
	if st.Version != apiVersion {
		return Status{}, fmt.Errorf("the supervisor speaks version %d, this kvmlab speaks %d", st.Version, apiVersion)
	}
	return st, nil
}

// RefusedError is a request that the supervisor understood and did not carry out.
type RefusedError struct {
	Status  int // HTTP
	Problem string
}

// Error says why.
func (e *RefusedError) Error() string { return "the supervisor refuses: " + e.Problem }

// OrderDHCP asks something of the DHCP server on a bridge and returns how the bridge is then.
func (c *Client) OrderDHCP(ctx context.Context, order DHCPOrder) (st BridgeStatus, err error) {
	body, err := json.Marshal(order)
	if err != nil {
		return st, fmt.Errorf("ask supervisor: %w", err)
	}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, "http://supervisor/v1/dhcp", bytes.NewReader(body))
	if err != nil {
		return st, fmt.Errorf("ask supervisor: %w", err)
	}
	resp, err := c.http.Do(req)
	if err != nil {
		return st, fmt.Errorf("ask supervisor: %w", err)
	}
	defer func() { err = errors.Join(err, resp.Body.Close()) }()
	if resp.StatusCode != http.StatusOK {
		why, _ := io.ReadAll(io.LimitReader(resp.Body, 4096)) // the status alone says enough
		return st, &RefusedError{Status: resp.StatusCode, Problem: strings.TrimSpace(string(why))}
	}
	if err := json.NewDecoder(resp.Body).Decode(&st); err != nil {
		return st, fmt.Errorf("read supervisor status: %w", err)
	}
	return st, nil
}

// Events calls each for every event after sequence number after, until ctx ends (its error is returned), the
// supervisor ends (nil) or each returns false (nil).
func (c *Client) Events(ctx context.Context, after uint64, each func(lab.Event) bool) (err error) {
	body, err := c.get(ctx, "/v1/events", url.Values{"after": {strconv.FormatUint(after, 10)}})
	if err != nil {
		return err
	}
	defer func() { err = errors.Join(err, body.Close()) }()
	for in := json.NewDecoder(body); ; {
		var ev lab.Event
		switch err := in.Decode(&ev); {
		case ctx.Err() != nil:
			return ctx.Err()
		case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return nil
		case err != nil:
			return fmt.Errorf("read supervisor events: %w", err)
		}
		if !each(ev) {
			return nil
		}
	}
}
