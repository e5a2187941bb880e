import { expect, test } from 'vitest'
import { scrubEnv } from './child-env.ts'

test('[OPS-01] a child sees neither the settings of the server nor provider keys', () => {
  const kept = { PATH: '/bin', HOME: '/home/ann', LANG: 'C.UTF-8', API_URL: 'x', MY_KEY: 'x', KEYBOARD: 'x', OPEN: 'x', XHOLDFAST_A: 'x' }
  const dropped = {
    HOLDFAST_SERVE_TOKEN: 'x',
    HOLDFAST_TOKEN: 'x',
    holdfast_token: 'x',
    ANTHROPIC_API_KEY: 'x',
    ANTHROPIC_AUTH_TOKEN: 'x',
    OPENAI_API_KEY: 'x',
    OPENAI_BASE_URL: 'x',
    AZURE_OPENAI_ENDPOINT: 'x',
    GEMINI_API_KEY: 'x',
    GOOGLE_GENERATIVE_AI_API_KEY: 'x',
    SOME_OTHER_API_KEY: 'x',
    MY_APIKEY: 'x',
    TEAM_API_KEYS: 'x',
    REPLICATE_API_TOKEN: 'x',
    HF_TOKEN: 'x',
    AWS_BEARER_TOKEN_BEDROCK: 'x',
  }
  expect(scrubEnv({ ...kept, ...dropped, UNSET: undefined })).toEqual(kept)
})

test('[OPS-01] what a child was given, it gets', () => {
  expect(scrubEnv({ PATH: '/bin', ANTHROPIC_API_KEY: 'of the server' }, { ANTHROPIC_API_KEY: 'its own', PATH: '/usr/bin' })).toEqual({
    PATH: '/usr/bin',
    ANTHROPIC_API_KEY: 'its own',
  })
})
