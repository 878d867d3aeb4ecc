package main

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"strconv"
	"time"

	p "github.com/pulumi/pulumi-go-provider"
	"github.com/pulumi/pulumi-go-provider/infer"
	"golang.org/x/crypto/ssh"
	"golang.org/x/crypto/ssh/agent"
)

const (
	defaultPort           = 22
	defaultDialErrorLimit = 10
	defaultPerDialTimeout = 15 // seconds
)

// Endpoint is one ssh hop.
type Endpoint struct {
	Host               *string  `pulumi:"host"`
	User               *string  `pulumi:"user,optional"`
	Port               *float64 `pulumi:"port,optional"`
	Password           *string  `pulumi:"password,optional" provider:"secret"`
	PrivateKey         *string  `pulumi:"privateKey,optional" provider:"secret"`
	PrivateKeyPassword *string  `pulumi:"privateKeyPassword,optional" provider:"secret"`
	AgentSocketPath    *string  `pulumi:"agentSocketPath,optional"`
	DialErrorLimit     *int     `pulumi:"dialErrorLimit,optional"`
	PerDialTimeout     *int     `pulumi:"perDialTimeout,optional"`
	HostKey            *string  `pulumi:"hostKey,optional"`
}

// Annotate sets the defaults.
func (e *Endpoint) Annotate(a infer.Annotator) {
	a.SetDefault(&e.User, "root")
	a.SetDefault(&e.Port, defaultPort)
	a.SetDefault(&e.DialErrorLimit, defaultDialErrorLimit)
	a.SetDefault(&e.PerDialTimeout, defaultPerDialTimeout)
}

// Connection is the target of a command, reached directly or over one proxy.
type Connection struct {
	Endpoint
	Proxy *Proxy `pulumi:"proxy,optional"`
}

// Proxy is the one hop in front of a target.
type Proxy struct{ Endpoint }

// Annotate sets the type token.
func (c *Connection) Annotate(a infer.Annotator) { a.SetToken("remote", "Connection") }

// Annotate sets the type token.
func (c *Proxy) Annotate(a infer.Annotator) { a.SetToken("remote", "ProxyConnection") }

// dial opens the target; the returned function closes all that was opened.
func (c *Connection) dial(ctx context.Context) (*ssh.Client, func(), error) {
	var net net.Dialer
	if c.Proxy == nil {
		client, err := c.open(ctx, net.DialContext)
		if err != nil {
			return nil, nil, err
		}
		return client, func() { client.Close() }, nil
	}
	hop, err := c.Proxy.open(ctx, net.DialContext)
	if err != nil {
		return nil, nil, fmt.Errorf("proxy: %w", err)
	}
	client, err := c.open(ctx, hop.DialContext)
	if err != nil {
		hop.Close()
		return nil, nil, err
	}
	return client, func() { client.Close(); hop.Close() }, nil
}

type dialer func(ctx context.Context, network, address string) (net.Conn, error)

// open retries every failure, a refused authentication included: dialErrorLimit L means L + 1 tries.
func (e *Endpoint) open(ctx context.Context, dial dialer) (*ssh.Client, error) {
	config, closeAgent, err := e.clientConfig()
	if err != nil {
		return nil, err
	}
	defer closeAgent()
	limit := or(e.DialErrorLimit, defaultDialErrorLimit)
	timeout := time.Duration(or(e.PerDialTimeout, defaultPerDialTimeout)) * time.Second
	wait := 100 * time.Millisecond
	for failures := 0; ; failures++ {
		client, err := handshake(ctx, dial, e.address(), config, timeout)
		if err == nil {
			return client, nil
		}
		if limit >= 0 && failures >= limit {
			return nil, fmt.Errorf("after %d failed attempts: %w", failures, err)
		}
		p.GetLogger(ctx).InfoStatusf("Dial %d/%d failed: retrying", failures+1, limit)
		select {
		case <-ctx.Done():
			return nil, errors.Join(ctx.Err(), err)
		case <-time.After(wait):
		}
		wait = min(wait*3/2, 5*time.Second)
	}
}

func (e *Endpoint) address() string {
	return net.JoinHostPort(or(e.Host, ""), strconv.Itoa(int(or(e.Port, defaultPort))))
}

func (e *Endpoint) clientConfig() (config *ssh.ClientConfig, closeAgent func(), err error) {
	closeAgent = func() {}
	config = &ssh.ClientConfig{
		User:            or(e.User, "root"),
		HostKeyCallback: ssh.InsecureIgnoreHostKey(), // as the official plugin does without `hostKey`
	}
	if e.HostKey != nil {
		key, _, _, _, err := ssh.ParseAuthorizedKey([]byte(*e.HostKey))
		if err != nil {
			return nil, nil, fmt.Errorf("failed to parse host key: %w", err)
		}
		config.HostKeyCallback = ssh.FixedHostKey(key)
		config.HostKeyAlgorithms = []string{key.Type()}
	}
	if e.PrivateKey != nil {
		signer, err := parseKey(*e.PrivateKey, or(e.PrivateKeyPassword, ""))
		if err != nil {
			return nil, nil, err
		}
		config.Auth = append(config.Auth, ssh.PublicKeys(signer))
	}
	if e.Password != nil {
		config.Auth = append(config.Auth, ssh.Password(*e.Password), ssh.KeyboardInteractive(answerAll(*e.Password)))
	}
	if socket := or(e.AgentSocketPath, os.Getenv("SSH_AUTH_SOCK")); socket != "" {
		conn, err := net.Dial("unix", socket)
		if err != nil {
			return nil, nil, err
		}
		closeAgent = func() { conn.Close() }
		config.Auth = append(config.Auth, ssh.PublicKeysCallback(agent.NewClient(conn).Signers))
	}
	return config, closeAgent, nil
}

func parseKey(pem, password string) (ssh.Signer, error) {
	if password != "" {
		return ssh.ParsePrivateKeyWithPassphrase([]byte(pem), []byte(password))
	}
	return ssh.ParsePrivateKey([]byte(pem))
}

func answerAll(password string) ssh.KeyboardInteractiveChallenge {
	return func(_, _ string, questions []string, _ []bool) ([]string, error) {
		answers := make([]string, len(questions))
		for i := range answers {
			answers[i] = password
		}
		return answers, nil
	}
}

func handshake(
	ctx context.Context, dial dialer, address string, config *ssh.ClientConfig, timeout time.Duration,
) (*ssh.Client, error) {
	if timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, timeout)
		defer cancel()
	}
	conn, err := dial(ctx, "tcp", address)
	if err != nil {
		return nil, err
	}
	if timeout > 0 { // a peer that accepts and then keeps silent must not hold the handshake for ever
		timer := time.AfterFunc(timeout, func() { conn.Close() })
		defer timer.Stop()
	}
	clientConn, channels, requests, err := ssh.NewClientConn(conn, address, config)
	if err != nil {
		conn.Close()
		return nil, err
	}
	return ssh.NewClient(clientConn, channels, requests), nil
}
