/** A program's environment: five variables of the server's own and what it was given, nothing else of the server's. */
export function programEnv(own: Readonly<Record<string, string | undefined>>, given: Readonly<Record<string, string>>): Record<string, string> {
  return {
    PATH: own['PATH'] ?? '/usr/local/bin:/usr/bin:/bin',
    HOME: own['HOME'] ?? '/',
    LANG: own['LANG'] ?? 'C.UTF-8',
    SHELL: own['SHELL'] ?? '/bin/sh',
    TERM: 'xterm-256color',
    ...given,
  }
}
