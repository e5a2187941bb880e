import { defineConfig } from 'vitest/config'

export default defineConfig({
  resolve: { conditions: ['holdfast-source', 'node', 'import', 'default'] },
  ssr: { resolve: { conditions: ['holdfast-source', 'node', 'import', 'default'] } },
  test: {
    include: ['packages/*/src/**/*.test.ts', 'e2e/**/*.test.ts', 'scripts/**/*.test.ts'],
    testTimeout: 30_000,
    hookTimeout: 60_000,
    pool: 'forks',
  },
})
