/**
 * One completion as somebody on the operator's network would ask for it.
 * @param {Record<string, any>} outputs of the stack: `endpoint`, `model`
 * @param {{apiKey: string, maxTokens: number, timeoutMs: number}} options
 * @returns {Promise<any>} the answer's JSON
 * @throws Error with status and text of any other answer
 */
export async function complete({ endpoint, model }, { apiKey, maxTokens, timeoutMs }) {
  const response = await fetch(`${endpoint}/completions`, {
    method: "POST",
    headers: { "content-type": "application/json", authorization: `Bearer ${apiKey}` },
    body: JSON.stringify({ model, prompt: "the quick", max_tokens: maxTokens, temperature: 0 }),
    signal: AbortSignal.timeout(timeoutMs),
  });
  const text = await response.text();
  if (!response.ok) throw new Error(`${endpoint} answered ${response.status}: ${text}`);
  return JSON.parse(text);
}
