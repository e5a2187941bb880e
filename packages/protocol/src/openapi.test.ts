import { Ajv2020 } from 'ajv/dist/2020.js'
import { expect, test } from 'vitest'
import { ERRORS } from './errors.ts'
import { openApi } from './openapi.ts'
import { ROUTES } from './routes.ts'

interface Operation {
  readonly operationId: string
  readonly deprecated?: boolean
  readonly parameters: readonly { readonly name: string; readonly in: string; readonly required: boolean }[]
  readonly requestBody?: { readonly content: Record<string, { readonly schema: object }> }
  readonly responses: Record<string, { readonly description: string; readonly content?: Record<string, { readonly schema: object }> }>
}
interface Document {
  readonly openapi: string
  readonly paths: Record<string, Record<string, Operation>>
  readonly components: { readonly schemas: Record<string, object> }
}
const document = openApi() as Document
const operations = Object.entries(document.paths).flatMap(([path, item]) => Object.entries(item).map(([method, operation]) => ({ path, method, operation })))

const ajv = new Ajv2020({ strict: false, validateFormats: false })
ajv.addSchema({ ...document, $id: 'urn:holdfast:openapi' })

test('every route is an operation with an id of its own', () => {
  expect(document.openapi).toBe('3.1.0')
  expect(operations.map(({ path, method }) => `${method} ${path}`).sort()).toEqual(ROUTES.map(route => `${route.method} ${route.path}`).sort())
  expect(new Set(operations.map(({ operation }) => operation.operationId)).size).toBe(operations.length)
})

test('every parameter of a path is declared, and only those are required', () => {
  for (const { path, operation } of operations) {
    const inPath = operation.parameters.filter(parameter => parameter.in === 'path').map(parameter => parameter.name)
    expect(inPath).toEqual([...path.matchAll(/\{(\w+)\}/g)].map(([, name]) => name))
    for (const parameter of operation.parameters) if (parameter.in === 'header') expect(parameter.required).toBe(false)
  }
})

test('every reference leads somewhere, and into the components', () => {
  const text = JSON.stringify(document)
  for (const [, reference = ''] of text.matchAll(/"\$ref":"([^"]*)"/g)) {
    expect(reference).toMatch(/^#\/components\/schemas\/[\w.-]+$/)
    expect(document.components.schemas).toHaveProperty([reference.slice('#/components/schemas/'.length)])
  }
})

test('every refusal of an operation names codes of that status', () => {
  for (const { operation } of operations) {
    for (const [status, response] of Object.entries(operation.responses)) {
      if (Number(status) < 400) continue
      for (const code of response.description.split(', ')) expect(ERRORS[code as keyof typeof ERRORS].status).toBe(Number(status))
    }
  }
})

test('schemas compile and validate what the server answers', () => {
  const page = document.paths['/sessions/{id}/events']?.get?.responses['200']?.content?.['application/json']?.schema as object
  const validate = ajv.compile(JSON.parse(JSON.stringify(page).replaceAll('#/components', 'urn:holdfast:openapi#/components')))
  const good = { events: [], epoch: 'abcd', head_seq: 0, floor_seq: 0, next_after: 0, next_cursor: 'abcd.0', has_more: false, resume: 'new' }
  expect(validate(good)).toBe(true)
  expect(validate({ ...good, gap: { from_seq: 1, to_seq: 4, reason: 'trimmed' } })).toBe(true)
  expect(validate({ ...good, resume: 'maybe' })).toBe(false)
  for (const { operation } of operations) {
    const schemas = [operation.requestBody, ...Object.values(operation.responses)].flatMap(part =>
      Object.values(part?.content ?? {}).map(({ schema }) => schema),
    )
    for (const schema of schemas)
      expect(() => ajv.compile(JSON.parse(JSON.stringify(schema).replaceAll('#/components', 'urn:holdfast:openapi#/components')))).not.toThrow()
  }
})

test('[RUN-11] the old endpoints are marked deprecated, and no others', () => {
  const old = operations.filter(({ operation }) => operation.deprecated).map(({ path, method }) => `${method} ${path}`)
  expect(old.sort()).toEqual(['get /compat/sessions/ws', 'get /compat/terminal/ws', 'get /events/{session_id}', 'post /events'])
})
