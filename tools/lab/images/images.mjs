/** What set-up puts into the two images of the lab, beside their layers. */
export const images = {
  ray: {
    tag: "lab/ray:2.48.0",
    env: {
      PATH: "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      LANG: "C.UTF-8",
      RAY_USAGE_STATS_ENABLED: "0",
    },
  },
  vllm: {
    tag: "lab/vllm:0.23.0",
    env: {
      PATH: "/opt/venv/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin",
      LANG: "C.UTF-8",
      RAY_USAGE_STATS_ENABLED: "0",
      VLLM_NO_USAGE_STATS: "1",
      VLLM_TARGET_DEVICE: "cpu",
      // Ranks share few cores: one thread each, bound to none.
      VLLM_CPU_OMP_THREADS_BIND: "nobind",
      OMP_NUM_THREADS: "1",
      MALLOC_ARENA_MAX: "1",
      // torch.compile needs a C++ compiler, which the image has not.
      TORCHDYNAMO_DISABLE: "1",
      HF_HUB_OFFLINE: "1",
      TRANSFORMERS_OFFLINE: "1",
    },
  },
};
