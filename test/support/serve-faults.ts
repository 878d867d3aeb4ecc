import { CONTAINER, type LabStack } from "./lab-stack.js";

/**
 * One test for each way to lose the head's or a member's `vllm serve` where every node runs one: by signal, and with the whole
 * host. Nobody helps the group; all processes must run in a later epoch, and a completion must be answered.
 */
export function itServesAgainAfterServeFaults(stackOf: () => LabStack, timeoutSec: number): void {
  const faults: [name: string, inject: (stack: LabStack) => Promise<unknown>][] = [
    ["kill -9 of the head's vllm serve", (stack) => killServe(stack, stack.head)],
    ["kill -9 of the member's vllm serve", (stack) => killServe(stack, stack.worker)],
    ["a clean reboot of the head", (stack) => stack.lab.reboot(stack.head)],
    ["a power cut of the member", (stack) => stack.lab.powerCut(stack.worker, 2)],
  ];
  for (const [name, inject] of faults) {
    it(`serves again by itself after ${name}`, async () => {
      const stack = stackOf();
      const { epoch } = (await stack.status()).serve;
      await inject(stack);
      await stack.servesAgain(epoch ?? 0, timeoutSec);
    });
  }
}

async function killServe(stack: LabStack, node: string): Promise<void> {
  const { pid } = (await stack.status(node)).serve;
  await stack.lab.must(node, ["docker", "exec", CONTAINER, "kill", "-9", String(pid)]);
}
