-- What roles.sql says (facts) against what is granted: the statements that make them agree, in their order. *there: the role is.
, items AS (
    SELECT f.role, p.privilege, i.item FROM facts f
    CROSS JOIN regexp_split_to_table(f.may, '\s+') AS p (privilege) CROSS JOIN regexp_split_to_table(f.what, '\s*,\s*') AS i (item)),
places AS (
    SELECT (SELECT relowner FROM pg_class WHERE oid = to_regclass('etl.runs')) AS owner, to_regnamespace('etl') AS etl,
           (SELECT relnamespace::regnamespace FROM pg_class WHERE oid = to_regclass('ohlcv_data')) AS rows,
           to_regnamespace('by_region') AS by_region),
relations AS (
    SELECT c.oid, c.relkind, c.relacl, n.oid AS namespace, format('%I.%I', n.nspname, c.relname) AS name,
           (SELECT count(*) FROM pg_attribute WHERE attrelid = c.oid AND attname IN ('attempt', 'as_of')) = 2 AS has_lineage
    FROM places p JOIN pg_class c ON c.relowner = p.owner AND c.relkind IN ('r', 'p', 'v')
    JOIN pg_namespace n ON n.oid = c.relnamespace AND n.oid IN (p.etl, p.rows, p.by_region)),
wanted AS (
    SELECT role, privilege, format('DATABASE %I', current_database()) AS object, '' AS col FROM items WHERE item = 'database'
    UNION SELECT role, privilege, format('SCHEMA %I', n.nspname), '' FROM items CROSS JOIN places p JOIN pg_namespace n
        ON n.oid = CASE item WHEN 'schema etl' THEN p.etl WHEN 'schema rows' THEN p.rows WHEN 'schema by_region' THEN p.by_region END
    UNION SELECT role, privilege, 'TABLE ' || r.name, '' FROM items CROSS JOIN places p JOIN relations r
        ON item = r.name OR (item = 'rows' AND r.namespace = p.rows AND r.relkind <> 'v' AND r.has_lineage)
        OR (item = 'views' AND r.namespace <> p.etl AND r.relkind = 'v')
        OR (item ~ '^etl\.\*' AND r.namespace = p.etl
            AND r.name <> ALL (coalesce(regexp_split_to_array(substring(item FROM '- (.*)$'), '\s+'), '{}')))
    UNION SELECT role, privilege, 'TABLE ' || r.name, c.col FROM items JOIN relations r ON split_part(item, ' (', 1) = r.name
        CROSS JOIN regexp_split_to_table(substring(item FROM '\((.*)\)'), '\s+') AS c (col)
    UNION SELECT role, privilege, 'FUNCTION ' || f.oid::regprocedure, '' FROM items CROSS JOIN places p
        JOIN pg_proc f ON f.pronamespace = p.etl AND item = 'function etl.' || f.proname
    UNION SELECT role, privilege, 'rows to come', '' FROM items WHERE item = 'rows to come'),
actual AS (
    SELECT g.rolname::text AS role, x.privilege_type AS privilege, o.object, o.col FROM (
        SELECT format('DATABASE %I', datname) AS object, '' AS col, datacl AS acl FROM pg_database WHERE datname = current_database()
        UNION ALL SELECT format('SCHEMA %I', nspname), '', nspacl FROM pg_namespace JOIN places p ON oid IN (p.etl, p.rows, p.by_region)
        UNION ALL SELECT 'TABLE ' || name, '', relacl FROM relations
        UNION ALL SELECT 'TABLE ' || r.name, a.attname, a.attacl FROM relations r
            JOIN pg_attribute a ON a.attrelid = r.oid AND a.attacl IS NOT NULL AND NOT a.attisdropped
        UNION ALL SELECT 'FUNCTION ' || f.oid::regprocedure, '', f.proacl FROM pg_proc f JOIN places p ON f.pronamespace = p.etl
        UNION ALL SELECT 'rows to come', '', d.defaclacl FROM pg_default_acl d
            JOIN places p ON d.defaclrole = p.owner AND d.defaclnamespace = p.rows AND d.defaclobjtype = 'r') o
    CROSS JOIN aclexplode(o.acl) x JOIN pg_roles g ON g.oid = x.grantee AND g.rolname IN (SELECT role FROM facts)),
changes AS (
    SELECT 'GRANT' AS verb, 'TO' AS whom, d.* FROM (SELECT * FROM wanted EXCEPT SELECT * FROM actual) d
    UNION ALL SELECT 'REVOKE', 'FROM', d.* FROM (SELECT * FROM actual EXCEPT SELECT * FROM wanted) d),
statements AS (
    SELECT 0 AS place, role, format('CREATE ROLE %I NOLOGIN', role) AS statement
    FROM (SELECT DISTINCT role FROM facts) f WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = role)
    UNION ALL
    SELECT CASE verb WHEN 'REVOKE' THEN 1 ELSE 2 END, role, CASE object
        WHEN 'rows to come' THEN format('ALTER DEFAULT PRIVILEGES FOR ROLE %s IN SCHEMA %s %s %s ON TABLES %s %I', p.owner::regrole, p.rows,
                                        verb, string_agg(privilege, ', ' ORDER BY privilege), whom, role)
        ELSE format('%s %s ON %s %s %I', verb, string_agg(privilege || CASE col WHEN '' THEN '' ELSE format(' (%I)', col) END, ', '
                                                          ORDER BY privilege, col), object, whom, role) END
    FROM changes CROSS JOIN places p GROUP BY verb, whom, role, object, p.owner, p.rows)
SELECT statement, EXISTS (SELECT FROM pg_roles WHERE rolname = role) AS there FROM statements ORDER BY place, role, statement
