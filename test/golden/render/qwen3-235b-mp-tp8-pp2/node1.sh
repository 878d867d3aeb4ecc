# node1: worker, ranks 8-15 on NPUs 0-7
ssh root@192.0.2.12

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
  --label=vllm-cluster.owner=organization/vllm-ascend/qwen3-235b-mp-tp8-pp2 \
  --label=vllm-cluster.cluster=qwen3-235b \
  --label=vllm-cluster.node=node1 \
  quay.io/ascend/vllm-ascend@sha256:0000000000000000000000000000000000000000000000000000000000000000 \
  bash -c '[ ! -r /usr/local/Ascend/ascend-toolkit/set_env.sh ] || . /usr/local/Ascend/ascend-toolkit/set_env.sh; [ ! -r /usr/local/Ascend/nnal/atb/set_env.sh ] || . /usr/local/Ascend/nnal/atb/set_env.sh; exec "$@"' supervisor python3 -u /vllm-cluster/in/supervisor run --cluster=qwen3-235b --node=node1 --role=member --head=192.0.2.11:26380 --runtime=3c61a4d33f684e7b

# In the container (docker exec -it vllm-cluster-qwen3-235b bash): the environment of vLLM.
export HF_HUB_OFFLINE=1
export VLLM_NO_USAGE_STATS=1
export HCCL_IF_IP=192.0.2.12
export VLLM_HOST_IP=192.0.2.12
export GLOO_SOCKET_IFNAME=enp67s0f0
export TP_SOCKET_IFNAME=enp67s0f0
export HCCL_SOCKET_IFNAME=enp67s0f0
export ASCEND_RT_VISIBLE_DEVICES=0,1,2,3,4,5,6,7

vllm serve /data/models/Qwen3-235B-A22B \
  --headless \
  --node-rank=1 \
  --distributed-executor-backend=mp \
  --nnodes=2 \
  --master-addr=192.0.2.11 \
  --master-port=29501 \
  --pipeline-parallel-size=2 \
  --tensor-parallel-size=8 \
  --enable-expert-parallel \
  --seed=1024 \
  --max-model-len=8192 \
  --max-num-seqs=25 \
  --served-model-name=qwen \
  --trust-remote-code \
  --gpu-memory-utilization=0.9
