import type { Hono } from 'hono'
import type { AppBindings } from './app.ts'

/** The methods that a path has, from the routes themselves; none where there is nothing at that path. */
export function createAllowedMethods(app: Hono<AppBindings>): (path: string) => readonly string[] {
  const routes = app.routes
    .filter(route => /^[A-Z]+$/.test(route.method) && route.method !== 'ALL')
    .map(route => ({ method: route.method, pattern: new RegExp(`^${route.path.replace(/:[a-z0-9]+/g, '[^/]+')}$`) }))
  return path => {
    const methods = new Set(routes.filter(route => route.pattern.test(path)).map(route => route.method))
    if (methods.has('GET')) methods.add('HEAD')
    return [...methods].sort()
  }
}
