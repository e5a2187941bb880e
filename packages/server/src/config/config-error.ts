/** The configuration cannot be used; one line a problem, each naming its source. The command ends with exit code 2. */
export class ConfigError extends Error {
  readonly problems: readonly string[]
  readonly exitCode = 2

  constructor(problems: readonly string[], options?: ErrorOptions) {
    super(problems.join('\n'), options)
    this.name = 'ConfigError'
    this.problems = problems
  }
}
