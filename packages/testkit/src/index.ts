export {}
export * from './store-suite/index.ts'
