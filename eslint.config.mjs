// What a compiler and biome do not see: promises nobody waits for, Outputs in template literals,
// forgotten cases, and the room law of docs/architecture.md.
import pulumi from "@pulumi/eslint-plugin";
import tseslint from "typescript-eslint";

const typeAware = {
  languageOptions: {
    parserOptions: { projectService: true, tsconfigRootDir: import.meta.dirname },
  },
  plugins: { "@typescript-eslint": tseslint.plugin },
  rules: {
    "@typescript-eslint/await-thenable": "error",
    "@typescript-eslint/no-floating-promises": "error",
    "@typescript-eslint/no-misused-promises": "error",
    "@typescript-eslint/return-await": ["error", "in-try-catch"],
    "@typescript-eslint/switch-exhaustiveness-check": [
      "error",
      { considerDefaultExhaustiveForUnions: true },
    ],
  },
};

export default tseslint.config(
  // examples/ are programs of their own; test/engine/package.test.ts compiles them.
  { ignores: ["node_modules/", "dist/", ".cache/", "examples/", "test/golden/"] },
  {
    files: ["**/*.ts", "tools/**/*.mjs"],
    extends: [tseslint.configs.base, typeAware],
  },
  {
    // Async listeners and timers are ordinary in tools; what they throw ends the process.
    files: ["tools/**/*.mjs"],
    rules: {
      "@typescript-eslint/no-misused-promises": [
        "error",
        { checksVoidReturn: { arguments: false } },
      ],
    },
  },
  {
    files: ["**/*.ts"],
    plugins: { "@pulumi": pulumi },
    rules: {
      "@pulumi/no-output-in-template-literal": "error",
      "@typescript-eslint/consistent-type-imports": "error",
      "@typescript-eslint/no-base-to-string": "error",
      "@typescript-eslint/no-deprecated": "error",
      "@typescript-eslint/no-explicit-any": "error",
      "@typescript-eslint/no-unsafe-argument": "error",
      "@typescript-eslint/no-unsafe-assignment": "error",
      "@typescript-eslint/no-unsafe-call": "error",
      "@typescript-eslint/no-unsafe-member-access": "error",
      "@typescript-eslint/no-unsafe-return": "error",
      "@typescript-eslint/only-throw-error": "error",
      "@typescript-eslint/restrict-template-expressions": ["error", { allowNumber: true }],
    },
  },
  {
    // Goldens and recorded answers are read as JSON; the assertion on them is the type check.
    files: ["test/**/*.ts"],
    rules: {
      "@typescript-eslint/no-unsafe-argument": "off",
      "@typescript-eslint/no-unsafe-assignment": "off",
      "@typescript-eslint/no-unsafe-call": "off",
      "@typescript-eslint/no-unsafe-member-access": "off",
      "@typescript-eslint/no-unsafe-return": "off",
    },
  },
  ...roomLaw(),
);

/** Which room may import what. */
function roomLaw() {
  const cli = { regex: "(^|/)cli/", message: "nothing imports cli/ but cli/ itself" };
  const plugins = {
    regex: "^@pulumi/(command|docker)(/|$)",
    message: "only components/ creates resources",
  };
  const provider = {
    regex: "^\\.{1,2}/.*provider/",
    message: "components/ reaches the provider through the engine",
  };
  const tests = {
    regex: "(^|/)(test|tools)/",
    message: "the product does not import test/ or tools/",
  };
  return [
    room(["core/**/*.ts"], {
      patterns: [
        {
          regex: "^(?!zod$|node:crypto$|\\.{1,2}/)",
          message: "core/ is pure: it imports zod, node:crypto and core/ only",
        },
        {
          regex: "(^|/)(cli|components|node|stacks|test|tools)/",
          message: "core/ is pure: it imports zod, node:crypto and core/ only",
        },
      ],
      globals: [
        ...["process", "console", "fetch", "performance", "crypto"],
        ...["setTimeout", "setInterval", "setImmediate", "queueMicrotask"],
      ],
      isPure: true,
    }),
    room(["components/**/*.ts"], { patterns: [cli, provider, tests] }),
    room(["provider/**/*.ts"], {
      patterns: [
        plugins,
        cli,
        tests,
        { regex: "(^|/)components/", message: "provider/ is a process of its own beside programs" },
      ],
    }),
    room(["cli/**/*.ts"], {
      patterns: [
        plugins,
        tests,
        { regex: "(^|/)components/", message: "cli/ works on plans, not on resources" },
      ],
    }),
    room(["index.ts"], {
      patterns: [
        {
          regex: "^(?!@pulumi/pulumi$|\\./components/|\\./[^/]+$)",
          message: "index.ts imports components/, the files beside it and @pulumi/pulumi only",
        },
      ],
    }),
  ];
}

/**
 * @param {string[]} files
 * @param {{patterns: {regex: string, message: string}[], globals?: string[], isPure?: boolean}} law
 */
function room(files, { patterns, globals = [], isPure = false }) {
  const message = "core/ is pure: no clock, no randomness, no environment";
  return {
    files,
    rules: {
      "no-restricted-imports": ["error", { patterns }],
      "no-restricted-globals": ["error", ...globals.map((name) => ({ name, message }))],
      "no-restricted-syntax": isPure
        ? [
            "error",
            {
              selector:
                "CallExpression[callee.object.name='Date'][callee.property.name='now'], NewExpression[callee.name='Date'][arguments.length=0]",
              message,
            },
            {
              selector: "MemberExpression[object.name='Math'][property.name='random']",
              message,
            },
            {
              selector:
                "ImportDeclaration[source.value='node:crypto'] ImportSpecifier[imported.name=/^(random|generate|getRandom|webcrypto)/]",
              message,
            },
          ]
        : "off",
    },
  };
}
