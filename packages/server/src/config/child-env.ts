/** Names that carry this server's own settings and secrets, or keys of model providers. */
const SECRET_NAMES: readonly RegExp[] = [
  /^HOLDFAST_/,
  /_API_?KEYS?$/,
  /_API_?TOKENS?$/,
  /^(?:ANTHROPIC|OPENAI|AZURE_OPENAI|AZURE_API|GEMINI|GOOGLE_GENERATIVE_AI|MISTRAL|GROQ|XAI|DEEPSEEK|OPENROUTER|COHERE|CO_API|TOGETHER|FIREWORKS|PERPLEXITY|CEREBRAS|AI_GATEWAY)_/,
  /^(?:HF_TOKEN|HUGGING_?FACE_?HUB_TOKEN|HUGGINGFACE_TOKEN|REPLICATE_API_TOKEN|AWS_BEARER_TOKEN_BEDROCK)$/,
]

/** The environment of a child process: the server's without its own settings and provider keys, then what the child was given (contract section 9). */
export function scrubEnv(env: Readonly<Record<string, string | undefined>>, given: Readonly<Record<string, string>> = {}): Record<string, string> {
  const kept: Record<string, string> = {}
  for (const [name, value] of Object.entries(env)) {
    if (value !== undefined && !SECRET_NAMES.some(pattern => pattern.test(name.toUpperCase()))) kept[name] = value
  }
  return { ...kept, ...given }
}
