package supervisor

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/kvmlab/kvmlab/netsetup/capture"
)

// FrameStream is a lab's frames, as they were and as they happen.
type FrameStream struct {
	*capture.Reader

	client *Client
	id     string
	body   io.Closer
}

// Frames begins a stream: since is "", "up" (all that is kept) or a time as in RFC 3339. When it returns, every frame
// from now on will be in the stream. ctx ends it at once; End ends it with nothing lost. Errors: [ErrBusy].
func (c *Client) Frames(ctx context.Context, since string) (*FrameStream, error) {
	query := url.Values{"id": {rand.Text()}}
	if since != "" {
		query.Set("since", since)
	}
	body, err := c.get(ctx, "/v1/frames", query)
	if err != nil {
		return nil, err
	}
	reader, err := capture.NewReader(body)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read supervisor's frames: %w", err), body.Close())
	}
	return &FrameStream{Reader: reader, client: c, id: query.Get("id"), body: body}, nil
}

// Evidence gives the frames that are kept for checks, up to what is on the wire now: the newest DHCP, ARP and ICMP of
// every station, in their order. Close ends it. Errors: [ErrBusy].
func (c *Client) Evidence(ctx context.Context) (*FrameStream, error) {
	body, err := c.get(ctx, "/v1/evidence", nil)
	if err != nil {
		return nil, err
	}
	reader, err := capture.NewReader(body)
	if err != nil {
		return nil, errors.Join(fmt.Errorf("read supervisor's frames: %w", err), body.Close())
	}
	return &FrameStream{Reader: reader, client: c, body: body}, nil
}

// End makes the supervisor end the stream after all that is on the wire now: Next goes on to io.EOF.
func (s *FrameStream) End(ctx context.Context) error {
	target := url.URL{Scheme: "http", Host: "supervisor", Path: "/v1/frames/end", RawQuery: url.Values{"id": {s.id}}.Encode()}
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, target.String(), http.NoBody)
	if err != nil {
		return fmt.Errorf("end stream of frames: %w", err)
	}
	resp, err := s.client.http.Do(req)
	if err != nil {
		return fmt.Errorf("end stream of frames: %w", err)
	}
	if err := resp.Body.Close(); err != nil {
		return fmt.Errorf("end stream of frames: %w", err)
	}
	if resp.StatusCode != http.StatusOK && resp.StatusCode != http.StatusNotFound { // not found: it has ended already
		return fmt.Errorf("end stream of frames: %s", resp.Status)
	}
	return nil
}

// Close drops the stream.
func (s *FrameStream) Close() error { return s.body.Close() }
