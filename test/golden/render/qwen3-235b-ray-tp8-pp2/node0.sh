# node0: head, ranks 0-7 on NPUs 0-7
ssh root@192.0.2.11

# On the host: the container. Its first process is the supervisor, which starts what follows.
docker run \
  --detach \
  --name=vllm-cluster-qwen3-235b \
  --network=host \
  --device=/dev/davinci0 \
  --device=/dev/davinci1 \
  --device=/dev/davinci2 \
  --device=/dev/davinci3 \
  --device=/dev/davinci4 \
  --device=/dev/davinci5 \
  --device=/dev/davinci6 \
  --device=/dev/davinci7 \
  --device=/dev/davinci_manager \
  --device=/dev/devmm_svm \
  --device=/dev/hisi_hdc \
  --mount=type=bind,source=/var/lib/vllm-cluster/qwen3-235b/in,target=/vllm-cluster/in,readonly \
  --mount=type=bind,source=/var/lib/vllm-cluster/qwen3-235b/out,target=/vllm-cluster/out \
  --mount=type=bind,source=/usr/local/dcmi,target=/usr/local/dcmi,readonly \
  --mount=type=bind,source=/usr/local/Ascend/driver/tools/hccn_tool,target=/usr/local/Ascend/driver/tools/hccn_tool,readonly \
  --mount=type=bind,source=/usr/local/bin/npu-smi,target=/usr/local/bin/npu-smi,readonly \
  --mount=type=bind,source=/usr/local/Ascend/driver/lib64,target=/usr/local/Ascend/driver/lib64,readonly \
  --mount=type=bind,source=/usr/local/Ascend/driver/version.info,target=/usr/local/Ascend/driver/version.info,readonly \
  --mount=type=bind,source=/etc/ascend_install.info,target=/etc/ascend_install.info,readonly \
  --mount=type=bind,source=/etc/hccn.conf,target=/etc/hccn.conf,readonly \
  --mount=type=bind,source=/data/models/Qwen3-235B-A22B,target=/data/models/Qwen3-235B-A22B,readonly \
  --shm-size=16384m \
  --ulimit=core=0:0 \
  --ulimit=nofile=65536:65536 \
  --runtime=runc \
  --security-opt=no-new-privileges \
  --restart=no \
  --stop-timeout=300 \
  --log-driver=json-file \
  --log-opt=max-size=20m \
  --log-opt=max-file=3 \
  --label=vllm-cluster.owner=organization/vllm-ascend/qwen3-235b-ray-tp8-pp2 \
  --label=vllm-cluster.cluster=qwen3-235b \
  --label=vllm-cluster.node=node0 \
  quay.io/ascend/vllm-ascend@sha256:0000000000000000000000000000000000000000000000000000000000000000 \
  bash -c '[ ! -r /usr/local/Ascend/ascend-toolkit/set_env.sh ] || . /usr/local/Ascend/ascend-toolkit/set_env.sh; [ ! -r /usr/local/Ascend/nnal/atb/set_env.sh ] || . /usr/local/Ascend/nnal/atb/set_env.sh; exec "$@"' supervisor python3 -u /vllm-cluster/in/supervisor run --cluster=qwen3-235b --node=node0 --role=head --head=192.0.2.11:26380 --runtime=599d9d7f35c1924d

# In the container (docker exec -it vllm-cluster-qwen3-235b bash): the environment of Ray and vLLM.
export HF_HUB_OFFLINE=1
export VLLM_NO_USAGE_STATS=1
export VLLM_CONFIG_ROOT=/vllm-cluster/in/vllm
export HCCL_IF_IP=192.0.2.11
export VLLM_HOST_IP=192.0.2.11
export GLOO_SOCKET_IFNAME=enp67s0f0
export TP_SOCKET_IFNAME=enp67s0f0
export HCCL_SOCKET_IFNAME=enp67s0f0
export ASCEND_RT_VISIBLE_DEVICES=0,1,2,3,4,5,6,7
export RAY_EXPERIMENTAL_NOSET_ASCEND_RT_VISIBLE_DEVICES=1

ray start \
  --head \
  --port=6379 \
  --include-dashboard=false \
  --node-ip-address=192.0.2.11 \
  --node-manager-port=6380 \
  --object-manager-port=6381 \
  --runtime-env-agent-port=6382 \
  --dashboard-agent-grpc-port=6383 \
  --dashboard-agent-listen-port=6384 \
  --metrics-export-port=6385 \
  --min-worker-port=10002 \
  --max-worker-port=10999 \
  --object-store-memory=10737418240 \
  --disable-usage-stats \
  --block

vllm serve /data/models/Qwen3-235B-A22B \
  --host=192.0.2.11 \
  --port=8000 \
  --distributed-executor-backend=ray \
  --pipeline-parallel-size=2 \
  --tensor-parallel-size=8 \
  --enable-expert-parallel \
  --seed=1024 \
  --max-model-len=8192 \
  --max-num-seqs=25 \
  --served-model-name=qwen \
  --trust-remote-code \
  --gpu-memory-utilization=0.9
