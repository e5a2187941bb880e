export * from './oracle/index.ts'
export * from './sim/index.ts'
export * from './store-suite/index.ts'
