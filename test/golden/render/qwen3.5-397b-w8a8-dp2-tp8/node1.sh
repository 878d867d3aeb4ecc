# node1: worker, ranks 8-15 on NPUs 0-7
ssh root@192.0.2.12

# On the host: the container. Its first process is the supervisor, which starts what follows.
docker run \
  --detach \
  --name=vllm-cluster-qwen35-397b \
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
  --mount=type=bind,source=/var/lib/vllm-cluster/qwen35-397b/in,target=/vllm-cluster/in,readonly \
  --mount=type=bind,source=/var/lib/vllm-cluster/qwen35-397b/out,target=/vllm-cluster/out \
  --mount=type=bind,source=/usr/local/dcmi,target=/usr/local/dcmi,readonly \
  --mount=type=bind,source=/usr/local/Ascend/driver/tools/hccn_tool,target=/usr/local/Ascend/driver/tools/hccn_tool,readonly \
  --mount=type=bind,source=/usr/local/bin/npu-smi,target=/usr/local/bin/npu-smi,readonly \
  --mount=type=bind,source=/usr/local/Ascend/driver/lib64,target=/usr/local/Ascend/driver/lib64,readonly \
  --mount=type=bind,source=/usr/local/Ascend/driver/version.info,target=/usr/local/Ascend/driver/version.info,readonly \
  --mount=type=bind,source=/etc/ascend_install.info,target=/etc/ascend_install.info,readonly \
  --mount=type=bind,source=/etc/hccn.conf,target=/etc/hccn.conf,readonly \
  --mount=type=bind,source=/data/models/Qwen3.5-397B-A17B-w8a8-mtp,target=/data/models/Qwen3.5-397B-A17B-w8a8-mtp,readonly \
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
  --label=vllm-cluster.owner=organization/vllm-ascend/qwen3.5-397b-w8a8-dp2-tp8 \
  --label=vllm-cluster.cluster=qwen35-397b \
  --label=vllm-cluster.node=node1 \
  quay.io/ascend/vllm-ascend@sha256:0000000000000000000000000000000000000000000000000000000000000000 \
  bash -c '[ ! -r /usr/local/Ascend/ascend-toolkit/set_env.sh ] || . /usr/local/Ascend/ascend-toolkit/set_env.sh; [ ! -r /usr/local/Ascend/nnal/atb/set_env.sh ] || . /usr/local/Ascend/nnal/atb/set_env.sh; exec "$@"' supervisor python3 -u /vllm-cluster/in/supervisor run --cluster=qwen35-397b --node=node1 --role=member --head=192.0.2.11:26380 --runtime=035934bfb5611d06

# In the container (docker exec -it vllm-cluster-qwen35-397b bash): the environment of vLLM.
export HF_HUB_OFFLINE=1
export VLLM_NO_USAGE_STATS=1
export VLLM_ENGINE_READY_TIMEOUT_S=1500
export PYTORCH_NPU_ALLOC_CONF=expandable_segments:True
export OMP_PROC_BIND=false
export OMP_NUM_THREADS=1
export HCCL_BUFFSIZE=1024
export TASK_QUEUE_ENABLE=1
export HCCL_IF_IP=192.0.2.12
export VLLM_HOST_IP=192.0.2.12
export GLOO_SOCKET_IFNAME=enp67s0f0
export TP_SOCKET_IFNAME=enp67s0f0
export HCCL_SOCKET_IFNAME=enp67s0f0
export ASCEND_RT_VISIBLE_DEVICES=0,1,2,3,4,5,6,7

vllm serve /data/models/Qwen3.5-397B-A17B-w8a8-mtp \
  --headless \
  --data-parallel-size-local=1 \
  --data-parallel-start-rank=1 \
  --data-parallel-size=2 \
  --data-parallel-address=192.0.2.11 \
  --data-parallel-rpc-port=13389 \
  --pipeline-parallel-size=1 \
  --tensor-parallel-size=8 \
  --enable-expert-parallel \
  --seed=1024 \
  --max-model-len=32768 \
  --max-num-seqs=16 \
  --max-num-batched-tokens=8192 \
  --served-model-name=qwen3.5-397b \
  --trust-remote-code \
  --gpu-memory-utilization=0.9 \
  '--additional-config={"enable_cpu_binding":true,"multistream_overlap_shared_expert":true}' \
  --async-scheduling \
  '--compilation-config={"cudagraph_mode":"FULL_DECODE_ONLY"}' \
  --disable-access-log-for-endpoints=/health,/metrics,/ping \
  --no-enable-prefix-caching \
  '--speculative-config={"enforce_eager":true,"method":"qwen3_5_mtp","num_speculative_tokens":3}'
