export { runDriver } from './run/run-driver.ts'
