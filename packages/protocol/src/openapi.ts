import { ERRORS, type ErrorCode } from './errors.ts'
import { type JsonSchema, schemaWriter } from './json-schema.ts'
import { PROTOCOL_VERSION } from './ids.ts'
import { type Answer, COMMON_ERRORS, type Route, ROUTES } from './routes.ts'

const COMPONENTS = '#/components/schemas/'
const ERROR_REF: JsonSchema = { $ref: `${COMPONENTS}errorAnswer` }

/** References into `$defs` point into OpenAPI's components instead. */
function relocated<T>(value: T): T {
  return JSON.parse(JSON.stringify(value).replaceAll('"$ref":"#/$defs/', `"$ref":"${COMPONENTS}`)) as T
}

/** The whole HTTP side as OpenAPI 3.1, made from the table of routes and the schemas that the code parses with. */
export function openApi(): object {
  const { defs, write } = schemaWriter()
  const paths: Record<string, Record<string, unknown>> = {}
  for (const route of ROUTES) {
    paths[route.path] = { ...paths[route.path], [route.method]: operation(route, write) }
  }
  return relocated({
    openapi: '3.1.0',
    jsonSchemaDialect: 'https://json-schema.org/draft/2020-12/schema',
    info: {
      title: 'Holdfast',
      version: `${PROTOCOL_VERSION}`,
      description: 'Durable sessions: create them, append to them, read them from any cursor. WebSocket messages are in /schema.json.',
      license: { name: 'MIT', identifier: 'MIT' },
    },
    security: [{ token: [] }],
    paths,
    components: { schemas: defs, securitySchemes: { token: { type: 'http', scheme: 'bearer' } } },
  })
}

function operation(route: Route, write: ReturnType<typeof schemaWriter>['write']): object {
  return {
    summary: route.summary,
    operationId: operationId(route),
    ...(route.deprecated ? { deprecated: true } : {}),
    ...(route.scope === 'open' ? { security: [] } : { 'x-holdfast-scope': route.scope }),
    parameters: [...pathParameters(route), ...queryParameters(route, write), ...headerParameters(route)],
    ...(route.body === undefined
      ? {}
      : { requestBody: { required: true, content: content(route.body.types, route.body.schema === null ? {} : write(route.body.schema)) } }),
    responses: { ...answers(route.answers, write), ...refusals(route) },
  }
}

const content = (types: readonly string[], schema: JsonSchema): object => Object.fromEntries(types.map(type => [type, { schema }]))

const operationId = (route: Route): string =>
  `${route.method}${route.path
    .split(/[^A-Za-z0-9]+/)
    .filter(word => word !== '')
    .map(word => (word[0] ?? '').toUpperCase() + word.slice(1))
    .join('')}`

const pathParameters = (route: Route): object[] =>
  [...route.path.matchAll(/\{(\w+)\}/g)].map(([, name]) => ({
    name,
    in: 'path',
    required: true,
    schema: name === 'sha256' ? { type: 'string', pattern: '^[0-9a-f]{64}$' } : { type: 'string' },
  }))

function queryParameters(route: Route, write: ReturnType<typeof schemaWriter>['write']): object[] {
  if (!route.query) return []
  const { properties = {}, required = [] } = write(route.query) as { properties?: Record<string, JsonSchema>; required?: string[] }
  return Object.entries(properties).map(([name, { description, ...schema }]) => ({
    name,
    in: 'query',
    required: required.includes(name),
    ...(description === undefined ? {} : { description }),
    schema,
  }))
}

const headerParameters = (route: Route): object[] =>
  Object.entries(route.headers ?? {}).map(([name, description]) => ({ name, in: 'header', required: false, description, schema: { type: 'string' } }))

/** One response a status: bodies of several types side by side. */
function answers(list: readonly Answer[], write: ReturnType<typeof schemaWriter>['write']): Record<string, unknown> {
  const responses: Record<string, { description: string; content?: Record<string, unknown> }> = {}
  for (const answer of list) {
    const before = responses[answer.status]
    const schema = answer.schema === null ? {} : write(answer.schema)
    const bodies = answer.status === 101 ? {} : { content: { ...before?.content, [answer.type]: { schema } } }
    responses[answer.status] = { description: before?.description ?? answer.meaning ?? 'Done', ...bodies }
  }
  return responses
}

/** Refusals by status; the description names the codes. */
function refusals(route: Route): Record<string, unknown> {
  const codes = new Set<ErrorCode>([...route.errors, ...(route.scope === 'open' ? (['origin_rejected', 'internal'] as const) : COMMON_ERRORS)])
  const byStatus: Record<string, string[]> = {}
  for (const code of codes) {
    const { status } = ERRORS[code]
    if (status !== null) byStatus[status] = [...(byStatus[status] ?? []), code]
  }
  return Object.fromEntries(
    Object.entries(byStatus).map(([status, names]) => [status, { description: names.join(', '), content: { 'application/json': { schema: ERROR_REF } } }]),
  )
}
