export * from './answers.ts'
export * from './json-schema.ts'
export * from './openapi.ts'
export * from './routes.ts'
