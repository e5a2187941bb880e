/** Resolves once everything that only waits for promises has run. */
export const settle = (): Promise<void> => new Promise(resolve => setImmediate(resolve))
