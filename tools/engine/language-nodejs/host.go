package main

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"runtime"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/pulumi/pulumi/sdk/v3/go/common/util/rpcutil"
	pulumirpc "github.com/pulumi/pulumi/sdk/v3/proto/go"
	"google.golang.org/grpc"
	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"
	"google.golang.org/protobuf/types/known/emptypb"
)

const (
	// alreadyReported is the exit status of the SDK's entry points after they
	// have told the engine about the error themselves.
	alreadyReported = 32
	// graceTime is how long an interrupted Node process may go on.
	graceTime = 5 * time.Second
)

// host implements the language runtime protocol. What it leaves out (code
// generation, Pack, Link, Template) is answered with "unimplemented".
type host struct {
	pulumirpc.UnimplementedLanguageRuntimeServer
	tracing string
	life    context.Context // ends with the host or with Cancel
	end     context.CancelFunc

	mu     sync.Mutex
	engine string
}

func newHost(ctx context.Context, tracing string) *host {
	h := &host{tracing: tracing}
	h.life, h.end = context.WithCancel(ctx)
	return h
}

func (h *host) Handshake(
	_ context.Context, req *pulumirpc.LanguageHandshakeRequest,
) (*pulumirpc.LanguageHandshakeResponse, error) {
	if a := req.GetEngineAddress(); a != "" {
		h.mu.Lock()
		h.engine = a
		h.mu.Unlock()
	}
	return &pulumirpc.LanguageHandshakeResponse{}, nil
}

func (h *host) engineAddress() string {
	h.mu.Lock()
	defer h.mu.Unlock()
	return h.engine
}

func (h *host) GetPluginInfo(context.Context, *emptypb.Empty) (*pulumirpc.PluginInfo, error) {
	return &pulumirpc.PluginInfo{Version: Version}, nil
}

// Cancel interrupts every Node process; no further one is started.
func (h *host) Cancel(context.Context, *emptypb.Empty) (*emptypb.Empty, error) {
	h.end()
	return &emptypb.Empty{}, nil
}

func (h *host) InstallDependencies(
	_ *pulumirpc.InstallDependenciesRequest,
	out grpc.ServerStreamingServer[pulumirpc.InstallDependenciesResponse],
) error {
	return out.Send(&pulumirpc.InstallDependenciesResponse{
		Stdout: []byte("nodejs language host (test double): dependencies are not installed here, run npm\n"),
	})
}

func (h *host) RuntimeOptionsPrompts(
	context.Context, *pulumirpc.RuntimeOptionsRequest,
) (*pulumirpc.RuntimeOptionsResponse, error) {
	return &pulumirpc.RuntimeOptionsResponse{}, nil
}

func (h *host) About(ctx context.Context, _ *pulumirpc.AboutRequest) (*pulumirpc.AboutResponse, error) {
	node, err := exec.LookPath("node")
	if err != nil {
		return nil, nodeMissing(err)
	}
	version, err := exec.CommandContext(ctx, node, "--version").Output()
	if err != nil {
		return nil, fmt.Errorf("node --version: %w", err)
	}
	return &pulumirpc.AboutResponse{
		Executable: node,
		Version:    strings.TrimSpace(string(version)),
		Metadata:   map[string]string{"host": "test double for " + Version},
	}, nil
}

// Run starts the program under the SDK's cmd/run and waits for its end.
func (h *host) Run(ctx context.Context, req *pulumirpc.RunRequest) (*pulumirpc.RunResponse, error) {
	opts, err := readOptions(req.GetInfo())
	if err != nil {
		return nil, err
	}
	entry, err := sdkEntry("run", req.GetInfo().GetProgramDirectory(), req.GetPwd())
	if err != nil {
		return nil, err
	}
	// The SDK does not take null for either.
	config, secretKeys := map[string]string{}, []string{}
	maps.Copy(config, req.GetConfig())
	secretKeys = append(secretKeys, req.GetConfigSecretKeys()...)
	configJSON, err := json.Marshal(config)
	if err != nil {
		return nil, err
	}
	secretJSON, err := json.Marshal(secretKeys)
	if err != nil {
		return nil, err
	}

	args := append(opts.nodeArgs, entry)
	for _, f := range [][2]string{
		{"monitor", req.GetMonitorAddress()}, // the engine's own
		{"engine", h.engineAddress()},
		{"organization", req.GetOrganization()},
		{"project", req.GetProject()},
		{"stack", req.GetStack()},
		{"root-directory", req.GetInfo().GetRootDirectory()},
		{"pwd", req.GetPwd()},
		{"parallel", strconv.Itoa(int(req.GetParallel()))},
		{"tracing", h.tracing},
	} {
		if f[1] != "" {
			args = append(args, "--"+f[0]+"="+f[1])
		}
	}
	if req.GetDryRun() {
		args = append(args, "--dry-run")
	}
	program := req.GetInfo().GetEntryPoint()
	if program == "" {
		program = "."
	}
	args = append(append(args, program), req.GetArgs()...)

	env := append(os.Environ(),
		"PULUMI_CONFIG="+string(configJSON), "PULUMI_CONFIG_SECRET_KEYS="+string(secretJSON))
	if opts.typeScript {
		env = append(env, "PULUMI_NODEJS_TYPESCRIPT=true")
	}
	if opts.tsconfig != "" {
		env = append(env, "PULUMI_NODEJS_TSCONFIG_PATH="+opts.tsconfig)
	}

	// The engine shows what comes on the host's own streams. Node gets pipes, not
	// these files themselves: it may switch what it inherits to non-blocking.
	stdout, stderr := struct{ io.Writer }{os.Stdout}, struct{ io.Writer }{os.Stderr}
	code, err := h.node(ctx, req.GetPwd(), env, args, stdout, stderr)
	switch {
	case err != nil:
		return nil, err
	case code == 0:
		return &pulumirpc.RunResponse{}, nil
	case code == alreadyReported:
		return &pulumirpc.RunResponse{Bail: true}, nil
	}
	return &pulumirpc.RunResponse{
		Error: fmt.Sprintf("Program exited with non-zero exit code: %d", code),
	}, nil
}

// RunPlugin starts a policy pack or a provider written for Node.
func (h *host) RunPlugin(
	req *pulumirpc.RunPluginRequest, out grpc.ServerStreamingServer[pulumirpc.RunPluginResponse],
) error {
	opts, err := readOptions(req.GetInfo())
	if err != nil {
		return err
	}
	dir := req.GetInfo().GetProgramDirectory()
	program := filepath.Join(dir, req.GetInfo().GetEntryPoint())
	name, pwd, tail := "run-plugin", req.GetPwd(), append([]string{program}, req.GetArgs()...)
	if req.GetKind() == "analyzer" {
		// Usage: <engine address> <program>. In the folder of the pack, whose
		// tsconfig.json counts.
		name, pwd, tail = "run-policy-pack", dir, append(req.GetArgs(), program)
	}
	entry, err := sdkEntry(name, dir, req.GetPwd())
	if err != nil {
		return err
	}
	closer, stdout, stderr, err := rpcutil.MakeRunPluginStreams(out, false)
	if err != nil {
		return err
	}
	defer func() { _ = closer.Close() }()

	env := req.GetEnv()
	if len(env) == 0 {
		env = os.Environ()
	}
	// A gRPC stream takes one message at a time.
	var mu sync.Mutex
	args := append(append(opts.nodeArgs, entry), tail...)
	code, err := h.node(out.Context(), pwd, env, args, &locked{&mu, stdout}, &locked{&mu, stderr})
	if err != nil {
		return err
	}
	return out.Send(&pulumirpc.RunPluginResponse{
		Output: &pulumirpc.RunPluginResponse_Exitcode{Exitcode: int32(code)},
	})
}

// node runs Node to its end. When ctx or the host ends it is interrupted, and
// killed after graceTime. The code is -1 for a process that a signal ended.
func (h *host) node(
	ctx context.Context, dir string, env, args []string, stdout, stderr io.Writer,
) (int, error) {
	bin, err := exec.LookPath("node")
	if err != nil {
		return 0, nodeMissing(err)
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	defer context.AfterFunc(h.life, cancel)()

	cmd := exec.CommandContext(ctx, bin, args...)
	cmd.Dir, cmd.Env, cmd.Stdout, cmd.Stderr = dir, env, stdout, stderr
	cmd.WaitDelay = graceTime
	cmd.Cancel = func() error {
		if runtime.GOOS == "windows" {
			return cmd.Process.Kill()
		}
		return cmd.Process.Signal(os.Interrupt)
	}
	err = cmd.Run()
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		return exit.ExitCode(), nil
	case ctx.Err() != nil:
		return 0, status.Error(codes.Canceled, "the Node process was cancelled")
	case err != nil:
		return 0, fmt.Errorf("cannot run %s: %w", bin, err)
	}
	return 0, nil
}

func nodeMissing(err error) error {
	return fmt.Errorf("nodejs language host (test double): put Node 22 or newer on PATH: %w", err)
}

// locked is a writer that shares its lock with others.
type locked struct {
	mu *sync.Mutex
	w  io.Writer
}

func (l *locked) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.w.Write(p)
}

type options struct {
	typeScript bool
	tsconfig   string
	nodeArgs   []string
}

// readOptions takes what the double knows of "runtime.options" in Pulumi.yaml.
func readOptions(info *pulumirpc.ProgramInfo) (options, error) {
	o := options{typeScript: true}
	for k, v := range info.GetOptions().AsMap() {
		ok := true
		switch k {
		case "typescript":
			o.typeScript, ok = v.(bool)
		case "tsconfig":
			o.tsconfig, ok = v.(string)
		case "nodeargs":
			var s string
			s, ok = v.(string)
			o.nodeArgs = strings.Fields(s)
		}
		if !ok {
			return o, fmt.Errorf("runtime option %q: %v has the wrong type", k, v)
		}
	}
	return o, nil
}

// sdkEntry finds an entry point of the @pulumi/pulumi that a folder resolves to.
func sdkEntry(name string, dirs ...string) (string, error) {
	rel := filepath.Join("@pulumi", "pulumi", "cmd", name, "index.js")
	for _, dir := range dirs {
		for _, modules := range moduleFolders(dir) {
			if p := filepath.Join(modules, rel); isFile(p) {
				return p, nil
			}
		}
	}
	return "", fmt.Errorf("no node_modules%c%s above %s: install the npm packages first",
		filepath.Separator, rel, strings.Join(dirs, " or "))
}

func isFile(p string) bool {
	st, err := os.Stat(p)
	return err == nil && st.Mode().IsRegular()
}
